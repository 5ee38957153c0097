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

# agent_number NAME VALUE MIN MAX
agent_number() {
	if ocf_is_decimal "$2" && [ "${#2}" -le 9 ] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
		return 0
	fi
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

# agent_wait SECONDS COMMAND...: until it succeeds.
agent_wait() {
	agent_left=$(($1 * 10))
	shift
	until "$@"; do
		agent_left=$((agent_left - 1))
		[ "$agent_left" -gt 0 ] || return 1
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
	mkdir -p "$HA_RSCTMP" && : >"$(agent_mark)" && return 0
	agent_fail "$OCF_ERR_GENERIC" "$(agent_mark) cannot be written"
}

agent_drop_mark() {
	rm -f "$(agent_mark)"
}

# Monitor of an agent that has nothing but its mark.
agent_is_started() {
	agent_is_marked && return "$OCF_SUCCESS"
	return "$OCF_NOT_RUNNING"
}

# agent_read KIND: its functions, and parameters that were not given.
agent_read() {
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
		agent_checked reload
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
