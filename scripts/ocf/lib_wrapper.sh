# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# xnbd-wrapper as a resource.
#
# It is known by its control socket: who listens on it is the wrapper, and who listens in the folder
# SOCKET.d (or one of this name in the run-directory of the configuration) are its servers. These go
# on when a wrapper dies, and hold their images open; so a stop ends them too, and nothing is
# "stopped" while one is left.

wrapper_defaults() {
	: "${OCF_RESKEY_config=/etc/xnbd/xnbd.conf}" "${OCF_RESKEY_socket=/run/xnbd/wrapper.ctl}"
	: "${OCF_RESKEY_options=}" "${OCF_RESKEY_uri=}" "${OCF_RESKEY_export=}"
	: "${OCF_RESKEY_generation=}"
	# shellcheck disable=SC2034 # for lib.sh
	AGENT_RELOADS=yes
}

wrapper_validate() {
	agent_path config "$OCF_RESKEY_config" || return
	agent_path socket "$OCF_RESKEY_socket" || return
	agent_need xnbd-wrapper xnbd-wrapper-ctl ss
}

wrapper_ctl() {
	agent_limit "$(agent_share 3 10)" xnbd-wrapper-ctl --socket "$OCF_RESKEY_socket" "$@"
}

# wrapper_listeners PROGRAMS PLACE...: process ids of the programs, a pattern of awk, that listen on
# a socket PLACE or in a folder PLACE/.
wrapper_listeners() {
	ss -Hxlp | awk '
		BEGIN {
			programs = "^\"(" ARGV[1] ")\",pid="
			for (i = 2; i < ARGC; i++)
				places[ARGV[i]]
			ARGC = 1
		}
		function is_ours(line) {
			for (place in places)
				if (index(line, " " place " ") || index(line, " " place "/"))
					return 1
		}
		is_ours($0) {
			n = split($0, users, "(")
			for (i = 1; i <= n; i++)
				if (match(users[i], programs "[0-9]+")) {
					pid = substr(users[i], 1, RLENGTH)
					sub(/.*=/, "", pid)
					if (!seen[pid]++)
						print pid
				}
		}' "$@"
}

wrapper_master() {
	wrapper_listeners xnbd-wrapper "$OCF_RESKEY_socket"
}

wrapper_servers() {
	wrapper_listeners xnbd-server "$OCF_RESKEY_socket.d" "$wrapper_folder"
}

# What a configuration with a run-directory makes of SOCKET.d; one that is gone or wrong has none.
wrapper_find_folder() {
	wrapper_run=$(agent_limit 5 xnbd-wrapper --config "$OCF_RESKEY_config" --dump 2>/dev/null |
		sed -n "s/^[[:space:]]*run-directory *= *[\"']\(.*\)[\"']\$/\1/p")
	wrapper_folder=${wrapper_run:-${OCF_RESKEY_socket%/*}}/${OCF_RESKEY_socket##*/}.d
}

wrapper_is_gone() {
	[ -z "$(wrapper_listeners 'xnbd-wrapper|xnbd-server' "$OCF_RESKEY_socket" \
		"$OCF_RESKEY_socket.d" "$wrapper_folder")" ]
}

wrapper_answers() {
	wrapper_ctl --status >/dev/null 2>&1
}

# Any byte may be in a name.
wrapper_escaped() {
	printf %s "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' %
}

wrapper_first_export() {
	wrapper_ctl --list 2>/dev/null | sed -n '1s/^ *[0-9]* *: \(.*\)  (.*$/\1/p'
}

# Where it listens, as a URI for this node. $1: escaped name of an export.
wrapper_own_uri() {
	wrapper_place=$(wrapper_ctl --status --json 2>/dev/null | sed -n '/"listening"/,/]/p' |
		sed -n 's/^ *"\([^"]*\)",*$/\1/p' | head -n 1)
	case $wrapper_place in
	'') return 1 ;;
	/*) echo "nbd+unix:///$1?socket=$(wrapper_escaped "$wrapper_place")" ;;
	0.0.0.0:*) echo "nbd://127.0.0.1:${wrapper_place##*:}/$1" ;;
	'[::]:'*) echo "nbd://[::1]:${wrapper_place##*:}/$1" ;;
	*) echo "nbd://$wrapper_place/$1" ;;
	esac
}

# A client's whole handshake, up to the size of an export.
wrapper_shake_hands() {
	wrapper_name=${OCF_RESKEY_export:-$(wrapper_first_export)}
	wrapper_uri=$OCF_RESKEY_uri
	if [ -z "$wrapper_uri" ] && [ -z "$wrapper_name" ]; then
		return "$OCF_SUCCESS" # nothing is exported
	fi
	: "${wrapper_uri:=$(wrapper_own_uri "$(wrapper_escaped "$wrapper_name")")}"
	agent_need nbdinfo || return
	wrapper_said=$(agent_limit "$(agent_share 1)" nbdinfo --size "$wrapper_uri" 2>&1) &&
		return "$OCF_SUCCESS"
	agent_fail "$OCF_ERR_GENERIC" \
		"no NBD handshake with $wrapper_uri: $(echo "${wrapper_said:-no answer}" | agent_line)"
}

wrapper_monitor() {
	if ! have_binary xnbd-wrapper-ctl || ! have_binary ss; then
		agent_need xnbd-wrapper-ctl ss
		return
	fi
	if ! wrapper_answers; then
		wrapper_judge
		return
	fi
	if [ "${OCF_CHECK_LEVEL:-0}" -ge 10 ] && ! ocf_is_probe; then
		wrapper_shake_hands
		return
	fi
	return "$OCF_SUCCESS"
}

# It does not answer: what is there?
wrapper_judge() {
	wrapper_find_folder
	if [ -n "$(wrapper_master)" ]; then
		agent_fail "$OCF_ERR_GENERIC" "xnbd-wrapper does not answer at $OCF_RESKEY_socket"
	elif [ -n "$(wrapper_servers)" ]; then
		agent_fail "$OCF_ERR_GENERIC" "xnbd-wrapper died, and its servers go on"
	else
		return "$OCF_NOT_RUNNING"
	fi
}

# Servers of one that died are taken over by the new one, with their clients.
wrapper_start() {
	if ! [ -r "$OCF_RESKEY_config" ]; then
		agent_fail "$OCF_ERR_INSTALLED" "$OCF_RESKEY_config is not there"
		return
	fi
	wrapper_answers && return "$OCF_SUCCESS"
	if [ -n "$(wrapper_master)" ]; then
		agent_fail "$OCF_ERR_GENERIC" "a process at $OCF_RESKEY_socket does not answer"
		return
	fi
	# As much as the kernel gives; the unit of systemd asks for the same.
	# shellcheck disable=SC3045 # shells without them go on as they are
	{ ulimit -n 1000000 && ulimit -l unlimited; } 2>/dev/null
	set -f # options are words, and not patterns
	# shellcheck disable=SC2086
	wrapper_said=$(agent_limit "$(agent_share 1)" xnbd-wrapper --daemonize \
		--socket "$OCF_RESKEY_socket" --config "$OCF_RESKEY_config" $OCF_RESKEY_options 2>&1)
	wrapper_status=$?
	set +f
	if [ "$wrapper_status" -eq 0 ] && agent_wait "$(agent_share 1)" wrapper_answers; then
		return "$OCF_SUCCESS"
	fi
	agent_fail "$OCF_ERR_GENERIC" \
		"xnbd-wrapper does not start: $(echo "$wrapper_said" | tail -n 1 | agent_line)"
}

# wrapper_signal NUMBER PID...
wrapper_signal() {
	wrapper_number=$1
	shift
	for wrapper_pid; do
		kill -s "$wrapper_number" "$wrapper_pid" 2>/dev/null
	done
}

# In order as long as there is time: told, asked, killed.
wrapper_stop() {
	if ! have_binary ss; then
		wrapper_stop_blindly
		return
	fi
	wrapper_find_folder
	if wrapper_ctl --shutdown >/dev/null 2>&1 && agent_wait "$(agent_share 2)" wrapper_is_gone; then
		return "$OCF_SUCCESS"
	fi
	wrapper_is_gone && return "$OCF_SUCCESS"
	for wrapper_way in TERM KILL; do
		ocf_log warn "$OCF_RESOURCE_INSTANCE: signal $wrapper_way to what is left"
		# shellcheck disable=SC2046 # a list of numbers
		wrapper_signal "$wrapper_way" $(wrapper_master) $(wrapper_servers)
		agent_wait "$(agent_share 2)" wrapper_is_gone && return "$OCF_SUCCESS"
	done
	agent_fail "$OCF_ERR_GENERIC" "these do not end: $(echo "$(wrapper_master) $(wrapper_servers)" |
		agent_line)"
}

# Nobody can say whose they are; if there are none at all, nothing has to be stopped.
wrapper_stop_blindly() {
	grep -sqx -e xnbd-wrapper -e xnbd-server /proc/[0-9]*/comm || return "$OCF_SUCCESS"
	agent_need ss || return "$OCF_ERR_GENERIC"
}

wrapper_reload() {
	wrapper_said=$(agent_limit "$(agent_share 1)" xnbd-wrapper-ctl --socket "$OCF_RESKEY_socket" \
		--reload 2>&1) && return "$OCF_SUCCESS"
	agent_fail "$OCF_ERR_GENERIC" \
		"all is as before: $(echo "$wrapper_said" | tail -n 1 | agent_line)"
}
