// SPDX-License-Identifier: Apache-2.0
#include "bundle.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "json_file.h"

#define CONTAINERD	"io.kubernetes.cri."
#define CRIO		"io.kubernetes.cri-o."

/* Empty if there is none, or if it is cut short by a NUL, which is no character of any name here. */
static const char *text(const json_t *object, const char *key)
{
	const json_t *member = json_object_get(object, key);
	const char *value = json_string_value(member);

	return value && strlen(value) == json_string_length(member) ? value : "";
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

/*
 * A pod's own annotations may be among these. Their author must not choose which of two runtimes is
 * believed, so a bundle that has both runtimes' is none of either.
 */
static enum bundle_kind kind_of(const json_t *annotations, json_t **container)
{
	const char *containerd = text(annotations, CONTAINERD "container-type");
	const char *crio = text(annotations, CRIO "ContainerType");
	const char *type = *containerd ? containerd : crio;

	*container = NULL;
	if (*containerd && *crio)
		return BUNDLE_UNKNOWN;
	if (!strcmp(type, "sandbox"))
		return BUNDLE_SANDBOX;
	if (strcmp(type, "container"))
		return BUNDLE_UNKNOWN;
	*container = *containerd ? from_containerd(annotations) : from_crio(annotations);
	return *container ? BUNDLE_CONTAINER : BUNDLE_UNKNOWN;
}

enum bundle_kind bundle_read(const char *bundle, json_t **container, struct reason *why)
{
	enum bundle_kind kind;
	json_error_t error;
	char path[PATH_MAX];
	json_t *config;

	*container = NULL;
	if (snprintf(path, sizeof(path), "%s/config.json", bundle) >= (int)sizeof(path)) {
		reason_set(why, "BadBundle", "the bundle's path is longer than %d bytes", PATH_MAX);
		return BUNDLE_UNKNOWN;
	}
	config = json_file_load(path, &error);
	if (!config) {
		reason_set(why, "BadBundle",
			   "%s cannot be read: %s; a container that may be the target of a move is not created unseen",
			   path, error.text);
		return BUNDLE_UNKNOWN;
	}
	kind = kind_of(json_object_get(config, "annotations"), container);
	json_decref(config);
	if (kind == BUNDLE_UNKNOWN)
		reason_set(why, "BadBundle",
			   "the annotations in %s do not say which pod's container this is: "
			   "the runtime handler sealift is for pods of containerd or CRI-O, use another one for this container",
			   path);
	return kind;
}
