// SPDX-License-Identifier: Apache-2.0
#include "ipam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* host-local's own default. */
#define DATA_DIR	"/var/lib/cni/networks"
/* One file for each of this node's stores: the network's name and its IPAM. The agent reads them. */
#define STATE_DIR	"/var/lib/sealift/ipam"
/* What the agent writes before the record of a pod that moves away (node-agent/src/node/fabric-addresses). */
#define RESERVED	"sealift-fabric "

static const char *ipam_type(const json_t *delegate)
{
	const char *type = json_string_value(json_object_get(json_object_get(delegate, "ipam"), "type"));

	return type ? type : "";
}

static const json_t *wanted(const json_t *delegate)
{
	return json_object_get(json_object_get(delegate, "runtimeConfig"), "ips");
}

static int is_name(const char *name)
{
	return name && *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

int ipam_check(const json_t *delegate, struct reason *why)
{
	const char *type = ipam_type(delegate);

	if (!strcmp(type, "host-local") && !is_name(json_string_value(json_object_get(delegate, "name")))) {
		reason_set(why, "BadConfiguration", "the network's name is no name of a file");
		return -1;
	}
	if (!json_array_size(wanted(delegate)) || !*type || !strcmp(type, "static") ||
	    !strcmp(type, "host-local"))
		return 0;
	reason_set(why, "UnsupportedIpam",
		   "the pod asks for addresses, and IPAM %.64s would give them to other pods too: use host-local or static",
		   type);
	return -1;
}

static const char *data_dir(const json_t *delegate)
{
	const char *dir = json_string_value(json_object_get(json_object_get(delegate, "ipam"), "dataDir"));

	return dir && *dir ? dir : DATA_DIR;
}

/* As mkdir -p. */
static int make_directories(const char *path)
{
	char part[PATH_MAX];
	size_t length = strlen(path);

	if (length >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* Reads a file that is shorter than @size. Returns 0 or a negative errno. */
static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), saved;
	size_t used = 0;
	ssize_t got = 0;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	while (used < size - 1) {
		got = read(fd, text + used, size - 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += got;
	}
	saved = errno;
	close(fd);
	text[used] = '\0';
	return got < 0 ? -saved : 0;
}

/* Makes a file of @dir that is on the disk, under a name that no address has. Returns 0 or a negative errno. */
static int write_temporary(const char *dir, const char *text, char path[PATH_MAX])
{
	size_t left = strlen(text);
	int fd, status = 0;

	if (snprintf(path, PATH_MAX, "%s/sealift-record-%d", dir, getpid()) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	while (left && !status) {
		ssize_t sent = write(fd, text, left);

		if (sent >= 0) {
			text += sent;
			left -= sent;
		} else if (errno != EINTR) {
			status = -errno;
		}
	}
	if (!status && fsync(fd) < 0)
		status = -errno;
	if (close(fd) < 0 && !status)
		status = -errno;
	if (status)
		unlink(path);
	return status;
}

/* 64-bit FNV-1a: networks of one name may keep their records in several directories. */
static uint64_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325;

	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * 0x100000001b3;
	return value;
}

static int write_note(const char *folder, const char *path, const char *text)
{
	char temporary[PATH_MAX];
	int status = make_directories(folder);

	if (!status)
		status = write_temporary(folder, text, temporary);
	if (!status && rename(temporary, path) < 0) {
		status = -errno;
		unlink(temporary);
	}
	return status;
}

/* Notes for the agent where host-local keeps the records of this network. Written once, and when it changes. */
static int note_store(const json_t *delegate, struct reason *why)
{
	const char *folder = getenv("SEALIFT_IPAM_STATE");
	const char *name = json_string_value(json_object_get(delegate, "name"));
	json_t *note = json_pack("{s:s, s:O}", "name", name, "ipam", json_object_get(delegate, "ipam"));
	char *text = note ? json_dumps(note, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	char path[PATH_MAX], *before = NULL;
	int status = -ENOMEM;

	folder = folder ? folder : STATE_DIR;
	if (snprintf(path, sizeof(path), "%s/%s-%016llx.json", folder, name,
		     (unsigned long long)hash(data_dir(delegate))) >= PATH_MAX)
		status = -ENAMETOOLONG;
	else if (text)
		before = malloc(strlen(text) + 2);
	if (before) {
		/* One byte more than @text, so that a longer note is another one. */
		if (read_text(path, before, strlen(text) + 2) == 0 && !strcmp(before, text))
			status = 0;
		else
			status = write_note(folder, path, text);
	}
	if (status)
		reason_set(why, "StateFailed", "cannot write %s: %s", path, strerror(-status));
	free(before);
	free(text);
	json_decref(note);
	return status ? -1 : 0;
}

/* The form that names of records have (Go's net.IP.String): without prefix length, IPv6 compressed. */
static int address_of(const char *wish, char address[INET6_ADDRSTRLEN])
{
	char bare[INET6_ADDRSTRLEN];
	size_t length = wish ? strcspn(wish, "/") : 0;
	struct in6_addr six;
	struct in_addr four;

	if (!length || length >= sizeof(bare))
		return -1;
	memcpy(bare, wish, length);
	bare[length] = '\0';
	if (inet_pton(AF_INET, bare, &four) == 1)
		return inet_ntop(AF_INET, &four, address, INET6_ADDRSTRLEN) ? 0 : -1;
	if (inet_pton(AF_INET6, bare, &six) != 1)
		return -1;
	if (IN6_IS_ADDR_V4MAPPED(&six))
		return inet_ntop(AF_INET, &six.s6_addr[12], address, INET6_ADDRSTRLEN) ? 0 : -1;
	return inet_ntop(AF_INET6, &six, address, INET6_ADDRSTRLEN) ? 0 : -1;
}

/* A record of @path that somebody has. Returns 0 if the pod may have the address all the same. */
static int of_another(const char *path, const char *own, int has_moved, struct reason *why)
{
	char text[4096];
	int status = read_text(path, text, sizeof(text));

	if (status) {
		reason_set(why, "StateFailed", "cannot read %s: %s", path, strerror(-status));
		return -1;
	}
	if (!strcmp(text, own))
		return 0;
	if (!strncmp(text, RESERVED, strlen(RESERVED))) {
		if (has_moved)
			return 0;
		reason_set(why, "AddressInUse",
			   "%s: the address belongs to a pod that has moved to another node, or moves", path);
		return -1;
	}
	text[strcspn(text, "\r\n")] = '\0';
	reason_set(why, "AddressInUse", "%s: sandbox %.100s of this node has the address", path, text);
	return -1;
}

/* Returns 1 if the record was made, 0 if it was there or stays a reservation, -1 with @why filled. */
static int claim(const char *dir, const char *address, const char *own, int has_moved,
		 struct reason *why)
{
	char path[PATH_MAX], temporary[PATH_MAX];
	int status;

	if (snprintf(path, sizeof(path), "%s/%s", dir, address) >= PATH_MAX)
		status = -ENAMETOOLONG;
	else
		status = write_temporary(dir, own, temporary);
	if (!status) {
		/* Never without its content, and never over another's. */
		if (link(temporary, path) < 0)
			status = -errno;
		unlink(temporary);
	}
	if (status == -EEXIST)
		return of_another(path, own, has_moved, why);
	if (!status)
		return 1;
	reason_set(why, "StateFailed", "cannot write %s: %s", path, strerror(-status));
	return -1;
}

static int claim_all(const char *dir, const char *own, const json_t *ips, int has_moved,
		     json_t *made, struct reason *why)
{
	const json_t *wish;
	size_t index;

	json_array_foreach((json_t *)ips, index, wish) {
		char address[INET6_ADDRSTRLEN];
		int status;

		if (address_of(json_string_value(wish), address) < 0) {
			reason_set(why, "BadConfiguration", "ips: element %zu is no IP address", index);
			return -1;
		}
		status = claim(dir, address, own, has_moved, why);
		if (status < 0)
			return -1;
		if (status)
			json_array_append_new(made, json_string(address));
	}
	return 0;
}

static void give_back(const char *dir, const json_t *made)
{
	const json_t *address;
	char path[PATH_MAX];
	size_t index;

	json_array_foreach((json_t *)made, index, address) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, json_string_value(address)) < PATH_MAX)
			unlink(path);
	}
}

int ipam_claim(const struct cni *cni, const json_t *delegate, int has_moved, struct reason *why)
{
	const char *name = json_string_value(json_object_get(delegate, "name"));
	char dir[PATH_MAX], own[PATH_MAX];
	json_t *made;
	int status;

	if (strcmp(ipam_type(delegate), "host-local"))
		return 0;
	if (note_store(delegate, why) < 0)
		return -1;
	if (!json_array_size(wanted(delegate)))
		return 0;
	if (snprintf(dir, sizeof(dir), "%s/%s", data_dir(delegate), name) >= PATH_MAX ||
	    snprintf(own, sizeof(own), "%s\r\n%s", cni->container, cni->ifname) >= PATH_MAX) {
		reason_set(why, "BadConfiguration", "the names of the sandbox and its network are too long");
		return -1;
	}
	status = make_directories(dir);
	if (status) {
		reason_set(why, "StateFailed", "cannot make %s: %s", dir, strerror(-status));
		return -1;
	}
	made = json_array();
	status = claim_all(dir, own, wanted(delegate), has_moved, made, why);
	if (status < 0)
		give_back(dir, made);
	json_decref(made);
	return status;
}
