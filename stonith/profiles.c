/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The families of PDUs we know, from what their makers publish (MIBs) and what others have found to
 * work. Nothing here was tried on hardware by us: `xnbd-stonith verify-map` and a test shot are for
 * that. Eaton Managed, Pulizzi, Liebert, Tripp Lite and IBM come without a MIB.
 *
 * Values differ from family to family, and inside a family from object to object: 1 is "off" for an
 * APC rPDU2's state and "on" for its command. The PDUs' own reboot, delayed commands and "all
 * outlets" are left out: they are never used.
 */
#include "profile.h"

#include "util.h"

#define E   "1.3.6.1.4.1."
#define APC E "318."

/* An outlet of the whole table. */
#define AT1 ".{1}"
#define AT2 ".{1}.{2}"
#define AT3 ".{1}.{2}.{3}"

/* States of a Sentry3's control that do not lead from off to on: idleOff, off, lockedOff. */
#define SENTRY3_STAYS_OFF (1U << 0 | 1U << 4 | 1U << 6)

/* A Sentry4's outlet is heard of: warnings of its load (an outlet that is off draws too little). */
#define SENTRY4_HEARD_OF                                                                           \
	(1U << 14 | 1U << 15 | 1U << 16 | 1U << 17 | 1U << 18 | 1U << 19 | 1U << 20)

const struct profile profile_table[] = {
	{
		.name = "apc-rpdu",
		.about = "APC Switched Rack PDU, first generation (AP79xx); newer ones (AP79xxB, "
			 "AP89xx, AP86xx) answer this way, too",
		.systems = {APC "1.3.4.5", APC "1.3.4.6"},
		.key_parts = 1,
		.state = APC "1.1.12.3.5.1.1.4" AT1,
		.state_on = 1,
		.state_off = 2,
		.off = {APC "1.1.12.3.3.1.1.4" AT1, 2},
		.on = {APC "1.1.12.3.3.1.1.4" AT1, 1},
		.cancel = {{APC "1.1.12.3.3.1.1.4" AT1, 7}},
		.idle = {{.oid = APC "1.1.12.3.5.1.1.5" AT1, .value = 2}},
		.outlet_name = APC "1.1.12.3.5.1.1.2" AT1,
		.count = APC "1.1.12.1.8.0",
	},
	{
		/* The state's values are the command's the other way round. */
		.name = "apc-rpdu2",
		.about = "APC Rack PDU 2G (AP84xx, AP86xx, AP88xx, AP89xx); an outlet is numbered "
			 "through all PDUs of a chain",
		.systems = {APC "1.3.4.6"},
		.key_parts = 1,
		.state = APC "1.1.26.9.2.3.1.5" AT1,
		.state_on = 2,
		.state_off = 1,
		.off = {APC "1.1.26.9.2.4.1.5" AT1, 2},
		.on = {APC "1.1.26.9.2.4.1.5" AT1, 1},
		.cancel = {{APC "1.1.26.9.2.4.1.5" AT1, 8}},
		.idle = {{.oid = APC "1.1.26.9.2.3.1.6" AT1, .value = 2}},
		.outlet_name = APC "1.1.26.9.2.3.1.3" AT1,
		.watts = APC "1.1.26.9.4.3.1.7" AT1,
	},
	{
		.name = "apc-masterswitch",
		.about = "APC MasterSwitch (AP9211, AP9212, AP9606)",
		.systems = {APC "1.3.4.1", APC "1.3.4.2", APC "1.3.4.3"},
		.key_parts = 1,
		.state = APC "1.1.4.4.2.1.3" AT1,
		.state_on = 1,
		.state_off = 2, /* 4: it does not know */
		.off = {APC "1.1.4.4.2.1.3" AT1, 2},
		.on = {APC "1.1.4.4.2.1.3" AT1, 1},
		.idle = {{.oid = APC "1.1.4.4.2.1.2" AT1, .value = 2}},
		.outlet_name = APC "1.1.4.4.2.1.4" AT1,
		.count = APC "1.1.4.4.1.0",
	},
	{
		.name = "apc-msp",
		.about = "APC MasterSwitch plus (AP9225); an outlet is SWITCH.OUTLET",
		.systems = {APC "1.3.4.4"},
		.key_parts = 2,
		.key_default = "1",
		.state = APC "1.1.6.7.1.1.5.{1}.1.{2}",
		.state_on = 1,
		.state_off = 2,
		.off = {APC "1.1.6.5.1.1.5.{1}.1.{2}", 3}, /* 2: on, later */
		.on = {APC "1.1.6.5.1.1.5.{1}.1.{2}", 1},
		.cancel = {{APC "1.1.6.5.1.1.5.{1}.1.{2}", 8}},
	},
	{
		.name = "apc-epdu",
		.about = "APC Easy PDU (EPDU10xx)",
		.systems = {APC "1.3.4.9"},
		.key_parts = 1,
		.state = APC "1.1.30.6.1.1.4" AT1,
		.state_on = 2,
		.state_off = 1,
		.off = {APC "1.1.30.6.2.1.4" AT1, 2},
		.on = {APC "1.1.30.6.2.1.4" AT1, 1},
	},
	{
		.name = "dell-rpdu",
		.about = "Dell managed rack PDU",
		.systems = {E "674.10903.200.*"},
		.key_parts = 1,
		.state = E "674.10903.200.2.200.130.1.2.1.4" AT1,
		.state_on = 1,
		.state_off = 2,
		.off = {E "674.10903.200.2.200.130.1.4.1.4" AT1, 2},
		.on = {E "674.10903.200.2.200.130.1.4.1.4" AT1, 1},
	},
	{
		/* Commands are seconds until they are carried out, -1 = none. */
		.name = "eaton-g3",
		.about =
			"Eaton ePDU G3 and G2, managed and switched; an outlet is UNIT.OUTLET, the "
			"first unit is 0",
		.systems = {E "534.6.6.7.*"},
		.key_parts = 2,
		.key_default = "0",
		.state = E "534.6.6.7.6.6.1.2" AT2,
		.state_on = 1,
		.state_off = 0,
		.off = {E "534.6.6.7.6.6.1.3" AT2, 0},
		.on = {E "534.6.6.7.6.6.1.4" AT2, 0},
		.cancel = {{E "534.6.6.7.6.6.1.3" AT2, -1}, {E "534.6.6.7.6.6.1.4" AT2, -1},
			{E "534.6.6.7.6.6.1.5" AT2, -1}},
		.idle = {{.oid = E "534.6.6.7.6.6.1.4" AT2, .value = -1},
			{.oid = E "534.6.6.7.6.6.1.5" AT2, .value = -1}},
		.usable = {{.oid = E "534.6.6.7.6.6.1.9" AT2, .value = 1},
			{.oid = E "534.6.6.7.1.2.1.30" AT1, .value = 0}},
		.outlet_name = E "534.6.6.7.6.1.1.3" AT2,
		.watts = E "534.6.6.7.6.5.1.3" AT2,
	},
	{
		.name = "eaton-managed",
		.about = "Eaton Managed ePDU, older ones; the first outlet is 0",
		.systems = {E "534.6.6.6.*"},
		.key_parts = 1,
		.state = E "534.6.6.6.1.2.2.1.3" AT1,
		.state_on = 1,
		.state_off = 0, /* 2: being cycled */
		.off = {E "534.6.6.6.1.2.2.1.3" AT1, 0},
		.on = {E "534.6.6.6.1.2.2.1.3" AT1, 1},
	},
	{
		/* Commands have the number after the outlet's. */
		.name = "pulizzi-ipv",
		.about = "Eaton Pulizzi IPV",
		.systems = {E "20677.1.*"},
		.key_parts = 1,
		.state = E "20677.2.6.3.{1}.0",
		.state_on = 1,
		.state_off = 2, /* 0: there is no such outlet */
		.off = {E "20677.2.6.2.{1+1}.0", 2},
		.on = {E "20677.2.6.2.{1+1}.0", 1},
	},
	{
		/* The state is that of any sensor: 7 on, 8 off, and many more. */
		.name = "raritan-px2",
		.about =
			"Raritan PX2, PX3, Legrand PX; an outlet is PDU.OUTLET, PDU being 1 but in "
			"a chain",
		.systems = {E "13742.6.*"},
		.key_parts = 2,
		.key_default = "1",
		.state = E "13742.6.4.1.2.1.3" AT2,
		.state_on = 7,
		.state_off = 8,
		.off = {E "13742.6.4.1.2.1.2" AT2, 0},
		.on = {E "13742.6.4.1.2.1.2" AT2, 1},
		.usable = {{.oid = E "13742.6.3.5.3.1.28" AT2, .value = 1}},
		.outlet_name = E "13742.6.3.5.3.1.3" AT2,
	},
	{
		.name = "raritan-px1",
		.about = "Raritan Dominion PX",
		.systems = {E "13742.4.*", E "13742.1.*"},
		.key_parts = 1,
		.state = E "13742.4.1.2.2.1.3" AT1,
		.state_on = 1,
		.state_off = 0, /* 2: being cycled */
		.off = {E "13742.4.1.2.2.1.3" AT1, 0},
		.on = {E "13742.4.1.2.2.1.3" AT1, 1},
	},
	{
		/* Without bit 2 of its capabilities a set succeeds and nothing happens. */
		.name = "sentry3",
		.about =
			"Server Technology Sentry, Sentry3 MIB (CW, CS and older ones); an outlet is "
			"TOWER.INFEED.OUTLET",
		.systems = {E "1718.3.*"},
		.key_parts = 3,
		.state = E "1718.3.2.3.1.5" AT3,
		.state_on = 1,
		.state_off = 0,
		.off = {E "1718.3.2.3.1.11" AT3, 2},
		.on = {E "1718.3.2.3.1.11" AT3, 1},
		.idle = {{.oid = E "1718.3.2.3.1.10" AT3,
			.value = 4,
			.off_only = true,
			.among = SENTRY3_STAYS_OFF}},
		.usable = {{.oid = E "1718.3.2.3.1.4" AT3, .value = 2, .bit = true}},
		.outlet_name = E "1718.3.2.3.1.3" AT3,
	},
	{
		.name = "sentry4",
		.about = "Server Technology PRO1 and PRO2, Sentry4 MIB; an outlet is "
			 "UNIT.CORD.OUTLET",
		.systems = {E "1718.4.*"},
		.key_parts = 3,
		.state = E "1718.4.1.8.3.1.1" AT3,
		.state_on = 1,
		.state_off = 2,
		.off = {E "1718.4.1.8.5.1.2" AT3, 2},
		.on = {E "1718.4.1.8.5.1.2" AT3, 1},
		.usable = {{.oid = E "1718.4.1.8.3.1.2" AT3,
			.value = 0,
			.among = SENTRY4_HEARD_OF}},
		.watts = E "1718.4.1.8.3.1.7" AT3,
	},
	{
		.name = "cyberpower-epdu",
		.about = "CyberPower switched ePDU (PDU15SWHVIEC, PDU20SW..., PDU30SW...)",
		.systems = {E "3808.*"},
		.key_parts = 1,
		.state = E "3808.1.1.3.3.5.1.1.4" AT1,
		.state_on = 1,
		.state_off = 2,
		.off = {E "3808.1.1.3.3.3.1.1.4" AT1, 2},
		.on = {E "3808.1.1.3.3.3.1.1.4" AT1, 1},
		.cancel = {{E "3808.1.1.3.3.3.1.1.4" AT1, 7}},
		.idle = {{.oid = E "3808.1.1.3.3.5.1.1.5" AT1, .value = 2}},
	},
	{
		.name = "cyberpower-epdu2",
		.about = "CyberPower ePDU 2 (PDU4xxxx, PDU8xxxx)",
		.systems = {E "3808.*"},
		.key_parts = 1,
		.state = E "3808.1.1.6.6.1.4.1.5" AT1,
		.state_on = 1,
		.state_off = 2,
		.off = {E "3808.1.1.6.6.1.5.1.5" AT1, 2},
		.on = {E "3808.1.1.6.6.1.5.1.5" AT1, 1},
		.cancel = {{E "3808.1.1.6.6.1.5.1.5" AT1, 7}},
		.idle = {{.oid = E "3808.1.1.6.6.1.4.1.6" AT1, .value = 2}},
	},
	{
		/* 3 to 6 are on the way, 7 is unavailable; a command is refused in other modes than
		 * "manual". */
		.name = "vertiv-geist",
		.about = "Vertiv Geist, firmware 5 (switched)",
		.systems = {E "21239.5.*"},
		.key_parts = 1,
		.state = E "21239.5.2.3.5.1.4" AT1,
		.state_on = 1,
		.state_off = 2,
		.off = {E "21239.5.2.3.5.1.6" AT1, 4},
		.on = {E "21239.5.2.3.5.1.6" AT1, 2},
		.cancel = {{E "21239.5.2.3.5.1.6" AT1, 1}},
	},
	{
		.name = "liebert-mph",
		.about = "Liebert (Emerson, Vertiv) MPH, MPX; an outlet is UNIT.BRANCH.OUTLET",
		.systems = {E "476.1.42.*"},
		.key_parts = 3,
		.state = E "476.1.42.3.8.50.20.1.95" AT3,
		.state_on = 2,
		.state_off = 1,
		.off = {E "476.1.42.3.8.50.20.1.100" AT3, 0},
		.on = {E "476.1.42.3.8.50.20.1.100" AT3, 1},
	},
	{
		.name = "tripplite",
		.about = "Tripp Lite PDUMH..., with SNMPWEBCARD",
		.systems = {E "850.*"},
		.key_parts = 1,
		.state = E "850.10.2.3.5.1.2.1" AT1,
		.state_on = 2,
		.state_off = 1,
		.off = {E "850.10.2.3.5.1.4.1" AT1, 1},
		.on = {E "850.10.2.3.5.1.4.1" AT1, 2},
	},
	{
		.name = "tripplite-lx",
		.about = "Tripp Lite with the LX platform (WEBCARDLX, PDU3xxx)",
		.systems = {E "850.*"},
		.key_parts = 1,
		.state = E "850.1.1.3.2.3.3.1.1.4.1" AT1,
		.state_on = 2,
		.state_off = 1,
		.off = {E "850.1.1.3.2.3.3.1.1.6.1" AT1, 1},
		.on = {E "850.1.1.3.2.3.3.1.1.6.1" AT1, 2},
	},
	{
		.name = "ibm-ipdu",
		.about = "IBM rack PDU+ (iPDU)",
		.systems = {E "2.6.223.*"},
		.key_parts = 1,
		.state = E "2.6.223.8.2.2.1.11" AT1,
		.state_on = 1,
		.state_off = 0,
		.off = {E "2.6.223.8.2.2.1.11" AT1, 0},
		.on = {E "2.6.223.8.2.2.1.11" AT1, 1},
	},
};

const size_t profile_count = ARRAY_LEN(profile_table);
