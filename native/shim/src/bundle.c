// SPDX-License-Identifier: Apache-2.0
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESTORED	"sealift-restored"
#define WAITING		"sealift-waiting"
#define CONTAINERD	"io.kubernetes.cri."
#define CRIO		"io.kubernetes.cri-o."

static int join(char path[PATH_MAX], const char *folder, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);

	if (length > 0 && length < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static json_t *identity(const char *namespace, const char *pod, const char *uid,
			const char *container, const char *sandbox)
{
	/* Without a name the agent can match it with nothing. */
	if (!*namespace || !*pod || !*container)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "namespace", namespace, "pod", pod, "podUid",
			 uid, "container", container, "sandboxId", sandbox);
}

static json_t *from_containerd(const json_t *annotations)
{
	return identity(text(annotations, CONTAINERD "sandbox-namespace"),
			text(annotations, CONTAINERD "sandbox-name"),
			text(annotations, CONTAINERD "sandbox-uid"),
			text(annotations, CONTAINERD "container-name"),
			text(annotations, CONTAINERD "sandbox-id"));
}

/* CRI-O keeps the kubelet's labels as JSON text in one annotation. */
static json_t *from_crio(const json_t *annotations)
{
	json_t *labels = json_loads(text(annotations, CRIO "Labels"), 0, NULL);
	json_t *found = identity(text(labels, "io.kubernetes.pod.namespace"),
				 text(labels, "io.kubernetes.pod.name"),
				 text(labels, "io.kubernetes.pod.uid"),
				 text(labels, "io.kubernetes.container.name"),
				 text(annotations, CRIO "SandboxID"));

	json_decref(labels);
	return found;
}

json_t *bundle_identity(const char *bundle)
{
	json_t *config, *annotations, *found = NULL;
	char path[PATH_MAX];

	if (join(path, bundle, "config.json") < 0)
		return NULL;
	config = json_load_file(path, 0, NULL);
	annotations = json_object_get(config, "annotations");
	if (!strcmp(text(annotations, CONTAINERD "container-type"), "container"))
		found = from_containerd(annotations);
	else if (!strcmp(text(annotations, CRIO "ContainerType"), "container"))
		found = from_crio(annotations);
	json_decref(config);
	return found;
}

static int mark(const char *bundle, const char *marker)
{
	char path[PATH_MAX];
	int fd;

	if (join(path, bundle, marker) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	return close(fd);
}

static int unmark(const char *bundle, const char *marker)
{
	char path[PATH_MAX];

	if (join(path, bundle, marker) < 0)
		return -1;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

int bundle_mark_restored(const char *bundle)
{
	return mark(bundle, RESTORED);
}

int bundle_unmark(const char *bundle)
{
	return unmark(bundle, RESTORED);
}

int bundle_mark_waiting(const char *bundle)
{
	return mark(bundle, WAITING);
}

int bundle_unmark_waiting(const char *bundle)
{
	return unmark(bundle, WAITING);
}

int bundle_waiting_path(const char *bundle, char path[PATH_MAX])
{
	return join(path, bundle, WAITING);
}

static json_t *load_state(const char *root, const char *id)
{
	char folder[PATH_MAX], path[PATH_MAX];

	/* An id with a slash is none of runc's. */
	if (!*id || strchr(id, '/') || join(folder, root, id) < 0 ||
	    join(path, folder, "state.json") < 0)
		return NULL;
	return json_load_file(path, 0, NULL);
}

/* runc keeps the bundle's path as a label in the container's state. */
static int is_marked(const char *root, const char *id, const char *marker)
{
	json_t *state = load_state(root, id), *label;
	char path[PATH_MAX];
	int marked = 0;
	size_t at;

	json_array_foreach(json_object_get(json_object_get(state, "config"), "labels"), at, label) {
		const char *value = json_string_value(label);

		if (!value || strncmp(value, "bundle=", 7) || join(path, value + 7, marker) < 0)
			continue;
		marked = access(path, F_OK) == 0;
	}
	json_decref(state);
	return marked;
}

int bundle_is_restored(const char *root, const char *id)
{
	return is_marked(root, id, RESTORED);
}

int bundle_is_waiting(const char *root, const char *id)
{
	return is_marked(root, id, WAITING);
}

long long bundle_init_pid(const char *root, const char *id)
{
	json_t *state = load_state(root, id);
	long long pid = json_integer_value(json_object_get(state, "init_process_pid"));

	json_decref(state);
	return pid;
}
