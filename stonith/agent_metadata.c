/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's description of itself for clusters, made of its table. `automatic="0"` of "on" keeps
 * Pacemaker from taking it for unfencing.
 */
#include "agent.h"
#include "agent_table.h"

static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void print_getopt(FILE *out, const struct agent_row *row)
{
	char name[64];

	agent_option_name(row, name, sizeof(name));
	fputs("\t\t<getopt mixed=\"", out);
	if (row->letter)
		fprintf(out, "-%c, ", row->letter);
	fprintf(out, row->type == AGENT_FLAG ? "--%s\"/>\n" : "--%s=[%s]\"/>\n", name, row->name);
}

static void print_content(FILE *out, const struct agent_row *row)
{
	static const char *const types[] = {[AGENT_TEXT] = "string",
		[AGENT_INTEGER] = "integer",
		[AGENT_SECONDS] = "second",
		[AGENT_SELECT] = "select",
		[AGENT_FLAG] = "boolean"};

	fprintf(out, "\t\t<content type=\"%s\"", types[row->type]);
	if (row->initial)
		fprintf(out, " default=\"%s\"", row->initial);
	if (row->type != AGENT_SELECT) {
		fputs("/>\n", out);
		return;
	}
	fputs(">\n", out);
	for (const char *const *choice = row->choices; *choice; choice++)
		fprintf(out, "\t\t\t<option value=\"%s\"/>\n", *choice);
	fputs("\t\t</content>\n", out);
}

static void print_parameter(FILE *out, const struct agent_row *row)
{
	fprintf(out, "\t<parameter name=\"%s\" unique=\"0\" required=\"%d\"", row->name,
		row->required);
	if (row->obsoletes)
		fprintf(out, " obsoletes=\"%s\"", row->obsoletes);
	if (row->now)
		fputs(" deprecated=\"1\"", out);
	fputs(">\n", out);
	print_getopt(out, row);
	print_content(out, row);
	fputs("\t\t<shortdesc lang=\"en\">", out);
	print_escaped(out, row->help);
	fputs("</shortdesc>\n\t</parameter>\n", out);
}

void agent_print_metadata(FILE *out)
{
	fputs("<?xml version=\"1.0\" ?>\n"
	      "<resource-agent name=\"fence_xnbd\" shortdesc=\"Fence agent for nodes with outlets on "
	      "several SNMP PDUs\">\n"
	      "<longdesc>Switches off every outlet of a node, on all its PDUs at the same time, and "
	      "reports success only when each of them was read back as off, twice, with no command "
	      "pending. Which outlets feed which node is in stonith.conf(5).</longdesc>\n"
	      "<vendor-url>man:fence_xnbd(8)</vendor-url>\n<parameters>\n",
		out);
	for (size_t i = 0; i < agent_rows; i++)
		print_parameter(out, &agent_table[i]);
	fputs("</parameters>\n<actions>\n"
	      "\t<action name=\"on\" automatic=\"0\"/>\n\t<action name=\"off\"/>\n"
	      "\t<action name=\"reboot\"/>\n\t<action name=\"status\"/>\n"
	      "\t<action name=\"list\"/>\n\t<action name=\"list-status\"/>\n"
	      "\t<action name=\"monitor\"/>\n\t<action name=\"metadata\"/>\n"
	      "\t<action name=\"validate-all\"/>\n"
	      "</actions>\n</resource-agent>\n",
		out);
}
