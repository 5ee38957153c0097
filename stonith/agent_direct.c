/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From parameters to the text of a configuration; see agent_direct.h. It and the secrets are files
 * without names, in memory, that end with us however we end, and need neither a disk nor a folder.
 * Values are quoted, so nothing in a parameter can add a key.
 */
#include "agent_direct.h"

#include "agent_detect.h"
#include "key.h"
#include "str.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PATH_ROOM = 32, SECRET_ROOM = 1024, OUTLET_ROOM = 64, SECRETS = 2, SECONDS_MAX = 60 };

struct direct {
	const struct agent_params *params;
	const char *profile; /* what goes into the configuration, here and below */
	const char *plug, *unit;
	const char *auth, *priv; /* secrets; NULL = none */
	char printed_auth[SECRET_ROOM], printed_priv[SECRET_ROOM];
	FILE *out;
	FILE *files[SECRETS]; /* with secrets */
	size_t file_count;
};

/* For its owner alone, as the reader of secrets demands. */
static FILE *make_file(char path[PATH_ROOM])
{
	int fd = memfd_create("fence_xnbd", MFD_CLOEXEC);
	FILE *ret;

	if (fd < 0)
		return NULL;
	snprintf(path, PATH_ROOM, "/proc/self/fd/%d", fd);
	ret = fchmod(fd, S_IRUSR | S_IWUSR) == 0 ? fdopen(fd, "w") : NULL;
	if (!ret)
		close(fd);
	else
		setvbuf(ret, NULL, _IONBF, 0); /* no copies of secrets */
	return ret;
}

/* KEY = the value in quotes; nothing for NULL. */
static void put(const struct direct *d, const char *key, const char *value)
{
	if (!value)
		return;
	fprintf(d->out, "\t%s = ", key);
	key_quote(value, d->out);
	fputc('\n', d->out);
}

/* Numbers stand without quotes, and what is none is told by whoever reads it. */
static void put_number(const struct direct *d, const char *key, const char *value, const char *unit)
{
	if (!value)
		return;
	if (strspn(value, "0123456789") != strlen(value))
		put(d, key, value);
	else
		fprintf(d->out, "\t%s = %s%s\n", key, value, unit);
}

/* What a program prints, up to its first line. */
static int ask_program(const char *program, char ret[SECRET_ROOM], struct err *err)
{
	FILE *in = popen(program, "re");
	char *line = in ? fgets(ret, SECRET_ROOM, in) : NULL;
	int status = in ? pclose(in) : -1;

	if (!line || status != 0)
		return err_set(err, EIO, "%.200s: printed no secret, or failed", program);
	ret[strcspn(ret, "\r\n")] = 0;
	return 0;
}

/* The secret that was given, or what a program prints; NULL: neither. Once, as it may take long. */
static int find_secret(const char *given, const char *program, char printed[SECRET_ROOM],
	const char **ret, struct err *err)
{
	int r = 0;

	*ret = given;
	if (!given && program) {
		r = ask_program(program, printed, err);
		*ret = printed;
	}
	return r;
}

/* Into a file whose path is behind KEY; nothing for NULL. */
static int put_secret(struct direct *d, const char *key, const char *secret, struct err *err)
{
	char path[PATH_ROOM];
	FILE *file;

	if (!secret)
		return 0;
	file = make_file(path);
	if (file)
		d->files[d->file_count++] = file;
	if (!file || fprintf(file, "%s\n", secret) < 0)
		return err_sys(err, errno, "no memory for %s", key);
	put(d, key, path);
	return 0;
}

static bool is_level(const struct agent_params *p, const char *level)
{
	return p->sec_level && strcasecmp(p->sec_level, level) == 0;
}

static int put_user(struct direct *d, struct err *err)
{
	const struct agent_params *p = d->params;
	bool auth = !is_level(p, "noAuthNoPriv"), priv = auth && !is_level(p, "authNoPriv");
	int r = 0;

	if (p->sec_level && auth && priv && !is_level(p, "authPriv"))
		return err_set(err, EINVAL,
			"snmp_sec_level=%.64s: must be noAuthNoPriv, authNoPriv or authPriv",
			p->sec_level);
	put(d, "user", p->username ? p->username : "");
	if (auth) {
		put(d, "auth", p->auth_prot ? p->auth_prot : "SHA-256");
		r = put_secret(d, "auth-file", d->auth, err);
	}
	if (r == 0 && priv) {
		put(d, "priv", p->priv_prot ? p->priv_prot : "AES");
		r = put_secret(d, "priv-file", d->priv, err);
	}
	return r;
}

/* What would be told in other words: as of several keys, or in another unit. */
static int check_pdu(const struct agent_params *p, const char *version, struct err *err)
{
	uint64_t seconds;

	if (strcmp(version, "1") != 0 && strcmp(version, "2c") != 0 && strcmp(version, "3") != 0)
		return err_set(err, EINVAL, "snmp_version=%.64s: must be 1, 2c or 3", version);
	if (p->shell_timeout && str_number(p->shell_timeout, 1, SECONDS_MAX, &seconds) < 0)
		return err_set(err, EINVAL,
			"shell_timeout=%.64s: not a number of seconds from 1 to %d",
			p->shell_timeout, SECONDS_MAX);
	return 0;
}

static int put_pdu(struct direct *d, struct err *err)
{
	const struct agent_params *p = d->params;
	const char *version = p->snmp_version ? p->snmp_version : "1";
	int r = check_pdu(p, version, err);

	if (r < 0)
		return r;
	fputs("pdu \"pdu\" {\n", d->out);
	put(d, "address", p->ip);
	put_number(d, "port", p->ipport, "");
	put(d, "profile", d->profile);
	put(d, "version", version);
	put_number(d, "timeout", p->shell_timeout, "000");
	if (strcmp(version, "3") == 0)
		r = put_user(d, err);
	else
		r = put_secret(d, "community-file", p->community ? p->community : "private", err);
	fputs("}\n", d->out);
	return r;
}

/* The next outlet of a list, without blanks around it; LEN 0 = there is none between separators. */
static const char *next_outlet(const struct direct *d, const char **at, size_t *len)
{
	const char *separator = d->params->plug_separator ? d->params->plug_separator : ",";
	const char *start = *at;

	*len = strcspn(start, separator);
	*at = start + *len + (start[*len] != 0);
	while (*len > 0 && isspace((unsigned char)start[0])) {
		start++;
		--*len;
	}
	while (*len > 0 && isspace((unsigned char)start[*len - 1]))
		--*len;
	return start;
}

static int put_outlet(const struct direct *d, const char *text, size_t len, struct err *err)
{
	const char *unit = d->unit;
	char outlet[OUTLET_ROOM];
	int n = snprintf(outlet, sizeof(outlet), "pdu:%s%s%.*s", unit ? unit : "", unit ? "." : "",
		(int)MIN_OF(len, (size_t)OUTLET_ROOM), text);

	/* Cut, it would be another outlet. */
	if (n >= OUTLET_ROOM)
		return err_set(err, EINVAL, "plug: %.40s...: is too long for an outlet", text);
	key_quote(outlet, d->out);
	return 0;
}

static int put_outlets(const struct direct *d, struct err *err)
{
	const char *at = d->plug, *sign = "";
	int r = 0;

	fputs("\toutlets = {", d->out);
	while (r == 0 && *at) {
		size_t len;
		const char *outlet = next_outlet(d, &at, &len);

		if (len == 0)
			continue;
		fputs(sign, d->out);
		sign = ", ";
		r = put_outlet(d, outlet, len, err);
	}
	fputs("}\n", d->out);
	return r;
}

/* "192.0.2.11_1_2": what a name may consist of, and no more than fits. */
static void put_node_name(const struct direct *d)
{
	char name[CONFIG_NAME_MAX];
	int n = snprintf(name, sizeof(name), "%s_%s", d->params->ip, d->plug);

	for (int i = 0; name[i]; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '.' && name[i] != '-')
			name[i] = '_';
	}
	if (n >= (int)sizeof(name)) /* others may begin so, and then share a lock: no harm */
		name[sizeof(name) - 2] = '-';
	fprintf(d->out, "node \"%s\" {\n", name);
}

static int put_all(struct direct *d, struct err *err)
{
	int r = put_pdu(d, err);

	put_node_name(d);
	if (r == 0)
		r = put_outlets(d, err);
	fputs("}\n", d->out);
	return r;
}

static int read_as_configuration(
	struct direct *d, struct config *ret, struct conf *files, struct err *err)
{
	char path[PATH_ROOM];
	int r;

	d->out = make_file(path);
	r = d->out ? put_all(d, err) : err_sys(err, errno, "no memory for parameters");
	if (r == 0 && ferror(d->out))
		r = err_sys(err, EIO, "no memory for parameters");
	if (r == 0 && config_read(path, ret, files) < 0)
		r = err_set(err, EINVAL, "these parameters do not fit, nothing was done");
	if (d->out)
		fclose(d->out);
	while (d->file_count > 0)
		fclose(d->files[--d->file_count]);
	return r;
}

/* Its profile: one that is built in, as those of a configuration are not read. */
static int ask_pdu(struct direct *d, struct reactor *reactor, struct conf *files, struct err *err)
{
	const struct profile *found;
	struct config c;
	int r;

	d->profile = profile_table[0].name; /* any, just to ask */
	d->plug = "1";
	r = read_as_configuration(d, &c, files, err);
	if (r < 0)
		return r;
	r = agent_detect(&c.pdus[0], reactor, &found, err);
	config_free(&c);
	conf_done(files);
	*files = (struct conf){0};
	if (r == 0)
		d->profile = found->name;
	return r;
}

/* An outlet that each PDU of the family has; a wrong name of a family is told later. */
static const char *any_outlet(const char *profile)
{
	static const char *const keys[] = {"1", "1", "1.1", "1.1.1"};
	const struct profile *p = profile_find(profile);

	return keys[!p || p->key_default ? 1 : MIN_OF(p->key_parts, OID_KEY_MAX)];
}

static int prepare(struct direct *d, struct reactor *r, struct conf *files, struct err *err)
{
	const struct agent_params *p = d->params;
	int status = find_secret(p->password, p->password_script, d->printed_auth, &d->auth, err);

	if (status == 0)
		status = find_secret(
			p->priv_passwd, p->priv_passwd_script, d->printed_priv, &d->priv, err);
	if (status == 0 && !d->profile)
		status = ask_pdu(d, r, files, err);
	d->plug = p->plug ? p->plug : any_outlet(d->profile ? d->profile : "");
	d->unit = p->unit;
	return status;
}

int agent_direct(const struct agent_params *p, struct reactor *r, struct config *ret,
	struct conf *files, struct err *err)
{
	struct direct d = {.params = p, .profile = p->profile};
	int status;

	*files = (struct conf){0};
	status = prepare(&d, r, files, err);
	if (status == 0)
		status = read_as_configuration(&d, ret, files, err);
	explicit_bzero(&d, sizeof(d));
	return status;
}
