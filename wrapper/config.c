/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From sections to settings; see config.h. Defaults count for all exports, wherever the section
 * stands. Keys of a default that do not belong to an export's mode are not its concern.
 */
#include "config.h"

#include "export.h"
#include "listen.h"
#include "log.h"
#include "nbd.h"
#include "spin.h"
#include "user.h"
#include "util.h"

#include <errno.h>
#include <string.h>

enum { PATH_BYTES_MAX = 4095, NAME_BYTES_MAX = 255 };

#define MANY 1000000ULL

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const engines[] = {"auto", "io_uring", "threads", NULL};

#define AT(field) offsetof(struct wrapper_config, field)

enum {
	FIXED = WRAPPER_KEY,
	LIVE = WRAPPER_KEY | WRAPPER_KEY_LIVE,
	SERVERS = LIVE | WRAPPER_KEY_SERVERS,
};

static const struct key keys[] = {
	{"listen", KEY_TEXTS, AT(listen), 1, PATH_BYTES_MAX, 0, NULL, FIXED, false,
		"Where clients are served: ADDRESS:PORT, [ADDRESS]:PORT, *:PORT for all addresses, "
		"or the path of a unix socket. Otherwise *:8520."},
	{"control", KEY_PATH, AT(control), 1, PATH_BYTES_MAX, 0, NULL, FIXED, false,
		"Control socket for xnbd-wrapper-ctl; otherwise wrapper.ctl in the run directory."},
	{"control-group", KEY_TEXT, AT(control_group), 1, NAME_BYTES_MAX, 0, NULL, FIXED, false,
		"Members of this group may use the control socket too."},
	{"user", KEY_TEXT, AT(user), 1, NAME_BYTES_MAX, 0, NULL, FIXED, false,
		"Run as this user once everything is open. Images and the folder of the state file "
		"must be accessible to it."},
	{"group", KEY_TEXT, AT(group), 1, NAME_BYTES_MAX, 0, NULL, FIXED, false,
		"Run as this group; otherwise that of the user."},
	{"run-directory", KEY_PATH, AT(run_directory), 1, PATH_BYTES_MAX, 0, NULL, FIXED, false,
		"Folder for sockets; otherwise /run/xnbd. Made if it is missing."},
	{"state-file", KEY_PATH, AT(state_file), 1, PATH_BYTES_MAX, 0, NULL, FIXED, false,
		"Where exports added at run time are kept; otherwise /var/lib/xnbd/xnbd.state."},
	{"xnbd-server", KEY_TEXT, AT(server), 1, PATH_BYTES_MAX, 0, NULL, SERVERS, false,
		"The xnbd-server to start; otherwise the one beside xnbd-wrapper or in PATH."},
	{"log", KEY_TEXTS, AT(log), 1, PATH_BYTES_MAX, 0, NULL, FIXED, false,
		"Where log lines go: syslog, journal, the path of a file, or several of these; or "
		"stderr alone. Otherwise stderr, or syslog in the background."},
	{"log-level", KEY_CHOICE, AT(log_level), 0, 0, LOG_LEVEL_INFO, levels, LIVE, false,
		"The least important lines that are logged; otherwise info."},
	{"max-clients", KEY_NUMBER, AT(max_clients), 1, MANY, 16384, NULL, LIVE, false,
		"Clients at once; otherwise 16384."},
	{"max-clients-per-peer", KEY_NUMBER, AT(max_clients_per_peer), 1, MANY, 16384, NULL, LIVE,
		false, "Clients at once from one address; otherwise 16384."},
	{"handshake-timeout", KEY_NUMBER, AT(handshake_timeout), 1, 3600, 10, NULL, LIVE, false,
		"Seconds a client has for each step of its handshake; otherwise 10. For all of it "
		"it has twelve times that."},
	{"idle-timeout", KEY_NUMBER, AT(idle_timeout), 1, MANY, 0, NULL, LIVE, false,
		"Seconds without a request after which a client is ended; otherwise never."},
	{"poll-sizes", KEY_NUMBER, AT(poll_sizes), 1, MANY, 0, NULL, LIVE, false,
		"Look for images that have grown every so many seconds; otherwise only when told."},
	{"metrics", KEY_TEXT, AT(metrics), 1, NAME_BYTES_MAX, 0, NULL, FIXED, false,
		"Serve figures for Prometheus by HTTP on ADDRESS:PORT; otherwise not."},
	{"allow", KEY_PEERS, AT(allow), 0, 0, 0, NULL, LIVE, false,
		"Peers that are served at all; otherwise all."},
	{"deny", KEY_PEERS, AT(deny), 0, 0, 0, NULL, LIVE, false,
		"Peers that are not, even if allow names them."},
	{"readonly", KEY_FLAG, AT(readonly), 0, 0, 0, NULL, LIVE, false,
		"Every export is read-only."},
	{"cow", KEY_FLAG, AT(cow), 0, 0, 0, NULL, LIVE, false,
		"Every target is served copy-on-write."},
	{"direct", KEY_FLAG, AT(direct), 0, 0, 0, NULL, SERVERS, false,
		"Read and write images past the page cache."},
	{"cow-dir", KEY_PATH, AT(cow_dir), 1, PATH_BYTES_MAX, 0, NULL, SERVERS, false,
		"Folder for the layers of exports that name none; otherwise that of the image."},
	{"engine", KEY_CHOICE, AT(engine), 0, 0, 0, engines, SERVERS, false,
		"Disk I/O by io_uring or by threads; otherwise what the kernel allows."},
	{"busy-poll", KEY_NUMBER, AT(busy_poll), 0, SPIN_MAX_US, SPIN_DEFAULT_US, NULL, SERVERS,
		false,
		"Microseconds to look for requests before sleeping; otherwise 50. 0 is never."},
	{"max-queue-size", KEY_NUMBER, AT(max_queue_size), 1, 4096, 0, NULL, SERVERS, false,
		"Requests in flight per client; otherwise 256."},
	{"max-buf-size", KEY_SIZE, AT(max_buf_size), 1, 1ULL << 40, 0, NULL, SERVERS, false,
		"Buffer memory of an export; otherwise 512M."},
};

const struct key_set wrapper_keys = {keys, ARRAY_LEN(keys)};

static const struct conf_kind kinds[] = {
	{"wrapper", false, &wrapper_keys, WRAPPER_KEY},
	{"defaults", false, &export_keys, EXPORT_KEY_DEFAULTS},
	{"export", true, &export_keys, EXPORT_KEY_SECTION},
};

enum { KIND_WRAPPER, KIND_DEFAULTS, KIND_EXPORT };

/* The wrapper. */

static void check_listen(struct conf *f, const struct conf_section *s, const struct key_texts *list)
{
	struct listen_place place;
	struct err err;

	for (size_t i = 0; i < list->count; i++) {
		if (listen_parse(list->items[i], &place, &err) < 0)
			conf_fault(f, s, "listen", "listen: %s", err.text);
	}
	if (list->count > SOCK_LISTEN_MAX)
		conf_fault(f, s, "listen", "listen: more than %d places", SOCK_LISTEN_MAX);
}

static void check_metrics(struct conf *f, const struct conf_section *s, const char *text)
{
	struct listen_place place;
	struct err err;

	if (listen_parse(text, &place, &err) < 0 || place.path)
		conf_fault(f, s, "metrics", "metrics: \"%.200s\": must be ADDRESS:PORT or *:PORT",
			text);
}

bool config_is_log(const char *text)
{
	return *text == '/' || strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0 ||
		strcmp(text, "journal") == 0;
}

static void check_log(struct conf *f, const struct conf_section *s, const struct key_texts *list)
{
	unsigned files = 0;

	for (size_t i = 0; i < list->count; i++) {
		const char *text = list->items[i];

		files += *text == '/';
		if (!config_is_log(text))
			conf_fault(f, s, "log",
				"log: \"%.100s\": must be stderr, syslog, journal or an absolute path",
				text);
		else if (strcmp(text, "stderr") == 0 && list->count > 1)
			conf_fault(f, s, "log", "log: stderr must be alone");
	}
	if (files > 1)
		conf_fault(f, s, "log", "log: must be one file, not %u", files);
}

static void check_user(struct conf *f, const struct conf_section *s, const struct wrapper_config *w)
{
	static const char no_group[] = "there is no such group";
	uid_t uid;
	gid_t gid;

	if (w->user && !user_find(w->user, &uid, &gid))
		conf_fault(f, s, "user", "user: \"%.100s\": there is no such user", w->user);
	if (w->group && !user_find_group(w->group, &gid))
		conf_fault(f, s, "group", "group: \"%.100s\": %s", w->group, no_group);
	if (w->group && !w->user)
		conf_fault(f, s, "group", "group: needs user too");
	if (w->control_group && !user_find_group(w->control_group, &gid))
		conf_fault(f, s, "control-group", "control-group: \"%.100s\": %s", w->control_group,
			no_group);
}

static void check_wrapper(
	struct conf *f, const struct conf_section *s, const struct wrapper_config *w)
{
	check_listen(f, s, &w->listen);
	check_log(f, s, &w->log);
	check_user(f, s, w);
	if (w->metrics)
		check_metrics(f, s, w->metrics);
}

/* Exports. */

static const struct conf_section *find_section(const struct conf *f, unsigned kind)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->sections[i].kind == &kinds[kind])
			return &f->sections[i];
	}
	return NULL;
}

static bool fits(const struct key *k, int kind)
{
	return k->where & 1U << kind;
}

/* Those that the mode of C knows; their faults have been told. */
static void apply_defaults(const struct conf_section *defaults, struct export_config *c)
{
	const int kind = c->kind;
	struct err err;

	for (size_t i = 0; i < defaults->count; i++) {
		const struct conf_value *v = &defaults->values[i];

		if (fits(v->key, kind))
			key_set(v->key, c, (const char *const *)v->texts, v->count, &err);
	}
}

/* The mode decides which defaults there are. */
static void find_kind(
	const struct conf_section *s, const struct conf_section *defaults, int *ret_kind)
{
	const struct conf_value *v = conf_value(s, "mode");
	enum export_kind kind;

	if (!v && defaults)
		v = conf_value(defaults, "mode");
	if (v && v->count == 1 && export_config_find_mode(v->texts[0], &kind))
		*ret_kind = (int)kind;
}

static void check_keys(struct conf *f, const struct conf_section *s, int kind)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct key *k = s->values[i].key;

		if (!fits(k, kind))
			conf_fault(f, s, k->name, "%s: does not belong to mode \"%s\"", k->name,
				export_config_mode((enum export_kind)kind));
	}
}

static void check_title(struct conf *f, const struct conf_section *s)
{
	struct err err;

	if (!*s->title)
		conf_fault(f, s, NULL, "the name must not be empty (use default = true)");
	else if (export_check_name(s->title, strlen(s->title), &err) < 0)
		conf_fault(f, s, NULL, "%s", err.text);
}

/* The section defaults; the same fault is not told again for every export. */
struct defaults {
	const struct conf_section *section; /* NULL = none */
	const char *wrong;                  /* a key whose value no export can have */
};

static void check_whole(struct conf *f, const struct conf_section *s, const struct defaults *d,
	const struct export_config *c)
{
	const char *key;
	struct err err;

	if (export_config_check(c, &key, &err) < 0 && (!d->wrong || conf_value(s, key)))
		conf_fault(f, s, key, "%s", err.text);
}

static void read_export(struct conf *f, const struct conf_section *s, const struct defaults *d,
	struct export_config *c)
{
	size_t before = f->fault_count;

	find_kind(s, d->section, &c->kind);
	if (d->section)
		apply_defaults(d->section, c);
	conf_apply(f, s, c);
	c->name = strdup(s->title);
	if (!c->name)
		conf_fault(f, s, NULL, "out of memory");
	check_title(f, s);
	check_keys(f, s, c->kind);
	/* Faults there may be the reason for others. */
	if (f->fault_count == before && !s->torn && (!d->section || !d->section->torn))
		check_whole(f, s, d, c);
}

static void check_default(struct conf *f, const struct conf_section *s,
	const struct export_config *c, const char **chosen)
{
	if (!c->is_default)
		return;
	if (*chosen)
		conf_fault(f, s, "default", "default: \"%.100s\" is the default too; choose one",
			*chosen);
	*chosen = c->name;
}

static struct defaults read_defaults(struct conf *f)
{
	struct defaults d = {.section = find_section(f, KIND_DEFAULTS)};
	struct export_config all = {0};
	struct err err;

	if (!d.section)
		return d;
	conf_apply(f, d.section, &all);
	if (export_config_check_blocks(&all, &d.wrong, &err) < 0)
		conf_fault(f, d.section, d.wrong, "%s", err.text);
	export_config_free(&all);
	return d;
}

static int read_exports(struct conf *f, struct config *ret)
{
	const struct defaults defaults = read_defaults(f);
	const char *chosen = NULL;

	ret->exports = calloc(f->count + 1, sizeof(*ret->exports));
	if (!ret->exports)
		return -ENOMEM;
	for (size_t i = 0; i < f->count; i++) {
		const struct conf_section *s = &f->sections[i];
		struct export_config *c = &ret->exports[ret->count];

		if (s->kind != &kinds[KIND_EXPORT])
			continue;
		ret->count++;
		read_export(f, s, &defaults, c);
		check_default(f, s, c, &chosen);
	}
	return 0;
}

int config_read(const char *path, struct config *ret, struct conf *files)
{
	const struct conf_section *wrapper;
	struct config c = {0};

	conf_read(path, kinds, ARRAY_LEN(kinds), files);
	key_init_all(&wrapper_keys, &c.wrapper);
	wrapper = find_section(files, KIND_WRAPPER);
	if (wrapper) {
		conf_apply(files, wrapper, &c.wrapper);
		check_wrapper(files, wrapper, &c.wrapper);
	}
	if (read_exports(files, &c) < 0)
		conf_fault_at(files, path, 0, "out of memory");
	*ret = c;
	if (!files->fault_count)
		return 0;
	config_free(ret);
	return -EINVAL;
}

void config_free(struct config *c)
{
	key_free_all(&wrapper_keys, &c->wrapper);
	for (size_t i = 0; i < c->count; i++)
		export_config_free(&c->exports[i]);
	free(c->exports);
	*c = (struct config){0};
}

static void warn_image(
	const struct conf_section *s, const struct export_config *e, struct conf *ret)
{
	if (e->kind != EXPORT_PROXY && access(e->image, F_OK) < 0)
		conf_fault(ret, s, "image",
			"image: %s: %s (a warning: clients are refused until it is there)",
			e->image, strerror(errno));
}

void config_warn(const struct conf *files, const struct config *c, struct conf *ret)
{
	const struct conf_section *wrapper = find_section(files, KIND_WRAPPER);
	const char *server = c->wrapper.server;
	size_t next = 0;

	*ret = (struct conf){0};
	if (server && strchr(server, '/') && access(server, X_OK) < 0)
		conf_fault(ret, wrapper, "xnbd-server",
			"xnbd-server: %s: %s (a warning: nothing can be served without it)", server,
			strerror(errno));
	for (size_t i = 0; i < files->count && next < c->count; i++) {
		if (files->sections[i].kind == &kinds[KIND_EXPORT])
			warn_image(&files->sections[i], &c->exports[next++], ret);
	}
}

/* Dumps. */

static void dump_keys(const struct key_set *set, const void *object, unsigned where, FILE *out)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct key *k = &set->keys[i];

		if ((k->where & where) != where || !key_is_given(k, object))
			continue;
		fprintf(out, "\t%s = ", k->name);
		key_print(k, object, out);
		fputc('\n', out);
	}
}

void config_dump(const struct config *c, FILE *out)
{
	fputs("wrapper {\n", out);
	dump_keys(&wrapper_keys, &c->wrapper, WRAPPER_KEY, out);
	fputs("}\n", out);
	for (size_t i = 0; i < c->count; i++) {
		const struct export_config *e = &c->exports[i];

		fputs("\nexport ", out);
		key_quote(e->name, out);
		fputs(" {\n", out);
		dump_keys(&export_keys, e, EXPORT_KEY_SECTION | 1U << e->kind, out);
		fputs("}\n", out);
	}
}
