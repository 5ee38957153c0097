# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Common part of the cluster agents: ocf:xnbd:* here, and heartbeat's scripts, which read it too.
#
# An agent KIND is lib_KIND.sh with KIND_defaults, KIND_validate, KIND_start, KIND_stop and
# KIND_monitor (and KIND_reload, if it can). They return an OCF code; who returns another one than
# success has said why by agent_fail. Any of them may be killed at any line: the next monitor must
# see what is there, and a stop must end it.

# Where programs built by hand are; cluster managers do not look there.
PATH=$PATH:/usr/local/sbin:/usr/local/bin
if ! [ -r "${OCF_FUNCTIONS_DIR:=${OCF_ROOT:=/usr/lib/ocf}/lib/heartbeat}/ocf-shellfuncs" ]; then
	echo "ocf-exit-reason:$OCF_FUNCTIONS_DIR/ocf-shellfuncs is missing: install resource-agents" >&2
	exit 5
fi
# shellcheck disable=SC1091 # of resource-agents
. "$OCF_FUNCTIONS_DIR/ocf-shellfuncs"
export LC_ALL=C # what programs say is read

# agent_fail CODE TEXT: the reason people see, in the cluster's status and log.
agent_fail() {
	ocf_exit_reason '%s' "$OCF_RESOURCE_INSTANCE: $2"
	return "$1"
}

# As that of resource-agents, which starts five processes to know it.
have_binary() {
	[ "${OCF_TESTER_FAIL_HAVE_BINARY:-}" != 1 ] && agent_found=$(command -v "$1") &&
		[ -x "$agent_found" ]
}

# agent_need PROGRAM...: are they here?
agent_need() {
	for agent_program; do
		have_binary "$agent_program" && continue
		agent_fail "$OCF_ERR_INSTALLED" "$agent_program is not installed on this node"
		return
	done
	return 0
}

# agent_number NAME VALUE MIN MAX: without zeros before it, which make some programs read it as octal.
agent_number() {
	case $2 in
	0?*) ;;
	*)
		if ocf_is_decimal "$2" && [ "${#2}" -le 9 ] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
			return 0
		fi
		;;
	esac
	agent_fail "$OCF_ERR_CONFIGURED" "$1=$2: a number from $3 to $4 is needed"
}

# agent_path NAME VALUE
agent_path() {
	case $2 in
	/*) return 0 ;;
	*) agent_fail "$OCF_ERR_CONFIGURED" "$1=$2: a path that begins with / is needed" ;;
	esac
}

# Seconds an action may last, less a bit for what comes after waiting.
agent_seconds() {
	agent_ms=${OCF_RESKEY_CRM_meta_timeout:-60000}
	ocf_is_decimal "$agent_ms" || agent_ms=60000
	agent_s=$((agent_ms * 8 / 10000))
	if [ "$agent_s" -lt 2 ]; then agent_s=2; fi
	echo "$agent_s"
}

# Seconds since the boot, by a clock that nobody sets.
agent_now() {
	read -r agent_up _ </proc/uptime
	echo "${agent_up%.*}"
}

# agent_share PARTS [MOST]: seconds of one of so many parts of what is left of the action's time. Each
# step has its share, so that the last one is reached, too.
agent_share() {
	agent_s=$(((AGENT_END - $(agent_now)) / $1))
	if [ "$agent_s" -gt "${2:-$agent_s}" ]; then agent_s=$2; fi
	if [ "$agent_s" -lt 2 ]; then agent_s=2; fi
	echo "$agent_s"
}

# agent_limit SECONDS COMMAND...: it is ended after so long, and with us if we are killed, as it stays
# in our process group: nothing of an action goes on beside the next one.
agent_limit() {
	timeout --foreground --kill-after=1 "$@"
}

# agent_run SECONDS COMMAND...: agent_out is what it said. Some that wait for a disk cannot be killed:
# they are left behind, and are not waited for.
agent_run() {
	agent_most=$1
	shift
	agent_out=$({
		timeout --foreground --signal=KILL $((agent_most + 2)) \
			timeout --foreground --kill-after=1 "$agent_most" "$@" 2>&1
		echo "|$?"
	} | timeout --foreground $((agent_most + 3)) cat)
	agent_status=${agent_out##*|}
	agent_out=${agent_out%|*}
	ocf_is_decimal "$agent_status" || agent_status=124
	return "$agent_status"
}

# agent_wait SECONDS COMMAND...: until it succeeds.
agent_wait() {
	agent_until=$(($(agent_now) + $1))
	shift
	until "$@"; do
		[ "$(agent_now)" -lt "$agent_until" ] || return 1
		sleep 0.1
	done
}

# agent_line: standard input as one short line, for reasons.
agent_line() {
	tr -s '\n\t ' '   ' | cut -c 1-400 | sed 's/^ //; s/ $//'
}

# The file that says "started", for agents that have nothing else to tell it by. It is gone after a
# reboot.
agent_mark() {
	agent_name=$OCF_RESOURCE_INSTANCE
	case $agent_name in
	*[!A-Za-z0-9_.-]*) agent_name=$(printf %s "$agent_name" | tr -c 'A-Za-z0-9_.-' _) ;;
	esac
	printf '%s/xnbd-%s-%s\n' "$HA_RSCTMP" "$AGENT" "$agent_name"
}

agent_is_marked() {
	[ -f "$(agent_mark)" ]
}

agent_set_mark() {
	# Not by ":", whose failure would end the shell.
	{ mkdir -p "$HA_RSCTMP" && true >"$(agent_mark)"; } 2>/dev/null && return 0
	agent_fail "$OCF_ERR_GENERIC" "$(agent_mark) cannot be written"
}

agent_drop_mark() {
	rm -f "$(agent_mark)" 2>/dev/null && return 0
	agent_fail "$OCF_ERR_GENERIC" "$(agent_mark) cannot be removed"
}

# Monitor of an agent that has nothing but its mark.
agent_is_started() {
	agent_is_marked && return "$OCF_SUCCESS"
	return "$OCF_NOT_RUNNING"
}

# agent_read KIND: its functions, and parameters that were not given.
agent_read() {
	AGENT_END=$(($(agent_now) + $(agent_seconds)))
	AGENT=$1 AGENT_RELOADS=
	: "${OCF_RESOURCE_INSTANCE:=xnbd-$AGENT}"
	# shellcheck disable=SC1090 # one of the files beside this one
	. "$XNBD_OCF_DIR/lib_$AGENT.sh"
	"${AGENT}_defaults"
}

# A wrong parameter is told by start; stop and monitor go by what is there, as a resource that does
# not stop costs the node its power.
agent_checked() {
	"${AGENT}_validate" || return
	"${AGENT}_$1"
}

# What cannot reload is stopped by Pacemaker, whatever on-fail says, and then a configuration with a
# fault keeps it from starting on either node. So a reload that was refused is told and logged, and it
# is no failure as long as all goes on as before.
agent_reload() {
	agent_checked reload || "${AGENT}_monitor"
}

agent_usage() {
	echo "usage: $0 start|stop|monitor|status|validate-all|meta-data${AGENT_RELOADS:+|reload-agent}"
}

# agent_main KIND ACTION: of an OCF agent, whose agent_metadata prints what it is.
agent_main() {
	agent_read "$1"
	__OCF_ACTION=$2
	case $2 in
	meta-data) agent_metadata && exit "$OCF_SUCCESS" ;;
	start) agent_checked start ;;
	stop | monitor) "${AGENT}_$2" ;;
	status) "${AGENT}_monitor" ;;
	validate-all) "${AGENT}_validate" ;;
	reload | reload-agent)
		[ -n "$AGENT_RELOADS" ] || exit "$OCF_ERR_UNIMPLEMENTED"
		agent_reload
		;;
	usage | help) agent_usage ;;
	*)
		agent_usage >&2
		exit "$OCF_ERR_UNIMPLEMENTED"
		;;
	esac
	exit $?
}

# Metadata: a parameter's name, type, default ("" none), more attributes; texts on standard input,
# the first line is the short one.
agent_parameter() {
	printf '<parameter name="%s"%s>\n' "$1" "${4:+ $4}"
	read -r agent_short
	printf '<longdesc lang="en">\n'
	cat
	printf '</longdesc>\n<shortdesc lang="en">%s</shortdesc>\n' "$agent_short"
	printf '<content type="%s"%s/>\n</parameter>\n' "$2" "${3:+ default=\"$3\"}"
}

# agent_about NAME SHORT: up to the parameters; the long text on standard input. The schema of
# Debian's resource-agents knows no reload-agent yet; declarations that come first are those in
# force.
agent_about() {
	cat <<-HEAD
		<?xml version="1.0"?>
		<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd" [
		<!ATTLIST action name NMTOKEN #REQUIRED>
		<!ATTLIST parameter reloadable (1|0) "0">
		]>
		<resource-agent name="$1" version="1.0">
		<version>1.1</version>
		<longdesc lang="en">
	HEAD
	cat
	printf '</longdesc>\n<shortdesc lang="en">%s</shortdesc>\n<parameters>\n' "$2"
}

# agent_actions START STOP MONITOR: their timeouts in seconds; standard input: more actions.
agent_actions() {
	cat <<-TAIL
		</parameters>
		<actions>
		<action name="start" timeout="$1s"/>
		<action name="stop" timeout="$2s"/>
		<action name="monitor" timeout="$3s" interval="10s" depth="0"/>
	TAIL
	cat
	cat <<-TAIL
		<action name="validate-all" timeout="20s"/>
		<action name="meta-data" timeout="5s"/>
		</actions>
		</resource-agent>
	TAIL
}
