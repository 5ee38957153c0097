# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Clients of an address and its ports are held while a service moves: their packets are dropped, so
# that they wait and send again, and are neither refused nor cut off.
#
# All there is of it is a table of nftables of its own, for each address and list of ports. Its
# ports are elements of a set that have a time limit, so the kernel itself ends the hold if nobody
# else does, whoever was killed: then the table is still there and matches nothing. Table and set
# are replaced as a whole, or removed, by one transaction. Other tables are left alone.
#
# Two resources belong together, with the same address and ports: action=block as the first of a
# group, action=unblock as its last. While the group runs, both are started and nobody is held.

block_defaults() {
	: "${OCF_RESKEY_action=}" "${OCF_RESKEY_ip=}" "${OCF_RESKEY_portno=}"
	: "${OCF_RESKEY_protocol=tcp}" "${OCF_RESKEY_deadline=60}"
}

block_validate() {
	case $OCF_RESKEY_action in
	block | unblock) ;;
	*)
		agent_fail "$OCF_ERR_CONFIGURED" "action=$OCF_RESKEY_action: block or unblock is needed"
		return
		;;
	esac
	block_validate_place || return
	agent_number deadline "$OCF_RESKEY_deadline" 1 3600 || return
	agent_need nft
}

block_validate_place() {
	case $OCF_RESKEY_protocol in
	tcp | udp) ;;
	*)
		agent_fail "$OCF_ERR_CONFIGURED" "protocol=$OCF_RESKEY_protocol: tcp or udp is needed"
		return
		;;
	esac
	if ! block_is_address "$OCF_RESKEY_ip"; then
		agent_fail "$OCF_ERR_CONFIGURED" \
			"ip=$OCF_RESKEY_ip: one address is needed, without a prefix or an interface"
		return
	fi
	case $OCF_RESKEY_portno in
	*[!,]*) ;;
	*)
		agent_fail "$OCF_ERR_CONFIGURED" "portno=$OCF_RESKEY_portno: ports are needed, as 10809,2049"
		return
		;;
	esac
	block_ports=$OCF_RESKEY_portno,
	while [ -n "$block_ports" ]; do
		[ -z "${block_ports%%,*}" ] || agent_number portno "${block_ports%%,*}" 1 65535 || return
		block_ports=${block_ports#*,}
	done
}

# What is not an address is a name for nft, which asks name servers for it.
block_is_address() {
	case $1 in
	*[!0-9a-fA-F:.]*) return 1 ;;
	'' | *:*:*) return 0 ;;
	*[!0-9.]* | *..* | .* | *. | *.*.*.*.*) return 1 ;;
	*[0-9][0-9][0-9][0-9]* | *[3-9][0-9][0-9]* | *2[6-9][0-9]* | *25[6-9]*) return 1 ;;
	0[0-9]* | *.0[0-9]*) return 1 ;;
	*.*.*.*) return 0 ;;
	esac
	return 1
}

# Ports and addresses differ in it, even where one ends with what the other one begins with.
block_table() {
	printf 'xnbd_block_%s_%s_%s\n' "$OCF_RESKEY_protocol" "${OCF_RESKEY_ip:-any}" \
		"$OCF_RESKEY_portno" | tr 'A-F:,' 'a-f\-_'
}

# How an address is matched; "" all of them.
block_address() { # daddr|saddr
	case $OCF_RESKEY_ip in
	'') ;;
	*:*) echo "ip6 $1 $OCF_RESKEY_ip" ;;
	*) echo "ip $1 $OCF_RESKEY_ip" ;;
	esac
}

block_elements() {
	block_ports=$OCF_RESKEY_portno,
	while [ -n "$block_ports" ]; do
		[ -z "${block_ports%%,*}" ] ||
			printf '%s timeout %ss, ' "${block_ports%%,*}" "$OCF_RESKEY_deadline"
		block_ports=${block_ports#*,}
	done
}

# Ours must be the first to see a packet. What this node says to itself is not held: monitors may
# ask a service before clients can.
block_rules() {
	cat <<-RULES
		add table inet $1
		delete table inet $1
		table inet $1 {
			set held {
				type inet_service
				flags timeout
				elements = { $(block_elements) }
			}
			chain arriving {
				type filter hook input priority -310
				iifname != "lo" $(block_address daddr) $OCF_RESKEY_protocol dport @held drop
			}
			chain leaving {
				type filter hook output priority -310
				oifname != "lo" $(block_address saddr) $OCF_RESKEY_protocol sport @held drop
			}
		}
	RULES
}

# Again, it begins anew.
block_hold() {
	block_said=$(block_rules "$(block_table)" | nft -f - 2>&1) && return 0
	agent_fail "$OCF_ERR_GENERIC" "clients cannot be held: $(echo "$block_said" | agent_line)"
}

block_is_held() {
	nft list set inet "$(block_table)" held 2>/dev/null | grep -q expires
}

block_release() {
	block_name=$(block_table)
	block_said=$(nft "add table inet $block_name; delete table inet $block_name" 2>&1) && return 0
	block_is_held || return 0
	agent_fail "$OCF_ERR_GENERIC" "clients are held: $(echo "$block_said" | agent_line)"
}

# The mark of "block" comes after the hold and that of "unblock" before the release, so whatever is
# cut short looks stopped or failed, and stop is called.
block_start() {
	if [ "$OCF_RESKEY_action" = unblock ]; then
		agent_set_mark && block_release
		return
	fi
	# One that is started already belongs to a group that serves.
	if agent_is_marked && ! block_is_held; then
		return "$OCF_SUCCESS"
	fi
	block_hold && agent_set_mark
}

# Whether the service was served by now decides if clients have to be held: a stop of what is
# stopped holds nobody. That they cannot be held costs them an error, not the node its power.
block_stop() {
	if [ "$OCF_RESKEY_action" = unblock ]; then
		if agent_is_marked && ! block_hold; then
			ocf_log warn "$OCF_RESOURCE_INSTANCE: the service is stopped without it"
		fi
		agent_drop_mark
		return "$OCF_SUCCESS"
	fi
	if have_binary nft; then
		block_release || return
	fi
	agent_drop_mark
}

block_monitor() {
	agent_is_marked || return "$OCF_NOT_RUNNING"
	if [ "$OCF_RESKEY_action" = unblock ] && block_is_held; then
		agent_fail "$OCF_ERR_GENERIC" "clients are held although the service should be served"
		return
	fi
	return "$OCF_SUCCESS"
}
