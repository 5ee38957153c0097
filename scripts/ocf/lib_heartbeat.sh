# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The same agents for heartbeat with haresources: arguments first, the action last, and the status
# is a word on standard output.
#
# heartbeat does not start what is "running", and reboots a node on which something is "running"
# after ten stops. There is no third word, so what is there in part, or cannot be told, is
# "running": then a node is rebooted rather than that two nodes use a volume.

# shellcheck source=scripts/ocf/lib.sh
. "$XNBD_OCF_DIR/lib.sh"

heartbeat_status() {
	"${AGENT}_monitor" 2>/dev/null
	case $? in
	"$OCF_NOT_RUNNING" | "$OCF_ERR_INSTALLED") echo stopped ;;
	*) echo running ;;
	esac
}

# heartbeat_main KIND ACTION: with OCF_RESKEY_* from the arguments.
heartbeat_main() {
	: "${OCF_RESKEY_CRM_meta_timeout:=90000}" # it has none, so they end by themselves
	agent_read "$1"
	# shellcheck disable=SC2034 # for ocf_is_probe
	OCF_RESKEY_CRM_meta_interval=10000
	__OCF_ACTION=$2
	case $2 in
	start) agent_checked start ;;
	stop) "${AGENT}_stop" ;;
	status) heartbeat_status ;;
	monitor) "${AGENT}_monitor" ;;
	reload)
		[ -n "$AGENT_RELOADS" ] || exit "$OCF_ERR_UNIMPLEMENTED"
		agent_checked reload
		;;
	boot)
		[ "$AGENT" = vg ] || exit "$OCF_ERR_UNIMPLEMENTED"
		agent_checked boot
		;;
	*)
		echo "usage: $0 [ARGUMENT...] start|stop|status${AGENT_RELOADS:+|reload}" >&2
		exit "$OCF_ERR_ARGS"
		;;
	esac
	exit $?
}
