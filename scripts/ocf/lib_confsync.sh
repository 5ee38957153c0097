# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# May this node take over? Not if its peer was known to have a newer configuration, and was not
# powered off since. Asked once, by start: a node that serves is not stopped for it.

confsync_defaults() {
	: "${OCF_RESKEY_config=}"
}

confsync_validate() {
	if [ -n "$OCF_RESKEY_config" ]; then
		agent_path config "$OCF_RESKEY_config" || return
	fi
	agent_need xnbd-confsync
}

confsync_start() {
	agent_is_marked && return "$OCF_SUCCESS"
	confsync_said=$(agent_limit "$(agent_share 1)" xnbd-confsync \
		${OCF_RESKEY_config:+"--config=$OCF_RESKEY_config"} status --precondition 2>&1)
	confsync_status=$?
	confsync_line=$(echo "$confsync_said" | agent_line)
	case $confsync_status in
	0) agent_set_mark ;;
	1) agent_fail "$OCF_ERR_GENERIC" "this node may not take over: $confsync_line" ;;
	2) agent_fail "$OCF_ERR_ARGS" "not configured on this node: $confsync_line" ;;
	*) agent_fail "$OCF_ERR_GENERIC" "xnbd-confsync failed ($confsync_status): $confsync_line" ;;
	esac
}

confsync_stop() {
	agent_drop_mark
}

confsync_monitor() {
	agent_is_started
}
