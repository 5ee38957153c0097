# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Peers of NFS locks are told that a floating address has "rebooted", when it has moved. Their
# records stay where they are, on the shared volume, as the next move needs them again.
#
# sm-notify goes on in the background until all are told. It has the folder open, so a stop ends it.

smnotify_defaults() {
	: "${OCF_RESKEY_name=}" "${OCF_RESKEY_folder=}" "${OCF_RESKEY_minutes=15}"
	: "${OCF_RESKEY_binary=sm-notify}"
}

smnotify_validate() {
	case $OCF_RESKEY_name in
	'' | -* | *[!A-Za-z0-9:._-]*)
		agent_fail "$OCF_ERR_CONFIGURED" \
			"name=$OCF_RESKEY_name: the host name or the address that floats is needed"
		return
		;;
	esac
	agent_path folder "$OCF_RESKEY_folder" || return
	agent_number minutes "$OCF_RESKEY_minutes" 0 1440 || return
	agent_need "$OCF_RESKEY_binary" || return
	"$OCF_RESKEY_binary" --help 2>/dev/null | grep -q -e --no-consume && return "$OCF_SUCCESS"
	agent_fail "$OCF_ERR_INSTALLED" \
		"$OCF_RESKEY_binary has no --no-consume: it is not the sm-notify of this suite"
}

# Process ids of those for our folder. The kernel keeps 15 letters of a name.
smnotify_running() {
	# shellcheck disable=SC2062 # files, and no pattern
	grep -slzFx --regexp="--state-directory-path=$OCF_RESKEY_folder" /proc/[0-9]*/cmdline |
		while IFS=/ read -r _ _ smnotify_pid _; do
			smnotify_name=
			read -r smnotify_name 2>/dev/null <"/proc/$smnotify_pid/comm"
			[ "$smnotify_name" != "$(printf %.15s "${OCF_RESKEY_binary##*/}")" ] ||
				echo "$smnotify_pid"
		done
}

smnotify_has_ended() {
	[ -z "$(smnotify_running)" ]
}

smnotify_end() { # SIGNAL
	for smnotify_one in $(smnotify_running); do
		kill -s "$1" "$smnotify_one" 2>/dev/null
	done
	agent_wait "$(agent_share 2)" smnotify_has_ended
}

smnotify_start() {
	agent_is_marked && return "$OCF_SUCCESS"
	if ! [ -d "$OCF_RESKEY_folder/sm" ]; then
		agent_fail "$OCF_ERR_GENERIC" "$OCF_RESKEY_folder/sm: no such folder; is the volume mounted?"
		return
	fi
	# One that a killed start has left would hold the folder.
	smnotify_end TERM || smnotify_end KILL
	smnotify_said=$(agent_limit "$(agent_share 1)" "$OCF_RESKEY_binary" --force --no-consume \
		--no-kernel-state --no-lift-grace "--retry-time=$OCF_RESKEY_minutes" \
		"--outgoing-addr=$OCF_RESKEY_name" "--state-directory-path=$OCF_RESKEY_folder" 2>&1) &&
		agent_set_mark && return
	agent_fail "$OCF_ERR_GENERIC" "sm-notify failed: $(echo "$smnotify_said" | tail -n 1 | agent_line)"
}

smnotify_stop() {
	if smnotify_end TERM || smnotify_end KILL; then
		agent_drop_mark
		return "$OCF_SUCCESS"
	fi
	agent_fail "$OCF_ERR_GENERIC" "sm-notify does not end: $(smnotify_running | agent_line)"
}

# When all are told there is no process any more.
smnotify_monitor() {
	agent_is_started
}
