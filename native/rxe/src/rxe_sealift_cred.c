// SPDX-License-Identifier: GPL-2.0
/*
 * write() on a uverbs file demands that writer and opener have the very same
 * credentials object (ib_safe_file_access() compares pointers), and libibverbs'
 * rxe provider rings its doorbell by write(). CRIU opens files before it sets a
 * task's credentials, and sets them thread by thread. User space has no way to
 * make file and threads share one object again.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/security.h>
#include <linux/sched/task.h>

#include "rxe_sealift.h"

/*
 * Do this thread and the first one of its process have one label? AppArmor tells
 * a thread's, but not that of credentials (security_cred_getsecid()); SELinux
 * and Smack tell both. One of the three at most is in use, so there is one
 * identifier to compare. If none is, it is 0.
 */
static bool rxe_cred_same_label(void)
{
	u32 own = 0, first = 0;

	security_current_getsecid_subj(&own);
	security_task_getsecid_obj(current->group_leader, &first);

	return own == first;
}

static bool rxe_cred_same_keys(const struct cred *a, const struct cred *b)
{
#ifdef CONFIG_KEYS
	return a->session_keyring == b->session_keyring &&
	       a->process_keyring == b->process_keyring &&
	       a->thread_keyring == b->thread_keyring &&
	       a->request_key_auth == b->request_key_auth &&
	       a->jit_keyring == b->jit_keyring;
#else
	return true;
#endif
}

/* Do two credentials objects allow the same? Labels are not looked at. */
static bool rxe_cred_equal(const struct cred *a, const struct cred *b)
{
	const struct group_info *ga = a->group_info, *gb = b->group_info;
	int i;

	if (!uid_eq(a->uid, b->uid) || !uid_eq(a->euid, b->euid) ||
	    !uid_eq(a->suid, b->suid) || !uid_eq(a->fsuid, b->fsuid) ||
	    !gid_eq(a->gid, b->gid) || !gid_eq(a->egid, b->egid) ||
	    !gid_eq(a->sgid, b->sgid) || !gid_eq(a->fsgid, b->fsgid))
		return false;

	if (a->user_ns != b->user_ns || a->securebits != b->securebits ||
	    a->ucounts != b->ucounts)
		return false;

	if (!rxe_cred_same_keys(a, b))
		return false;

	if (memcmp(&a->cap_inheritable, &b->cap_inheritable,
		   sizeof(kernel_cap_t)) ||
	    memcmp(&a->cap_permitted, &b->cap_permitted,
		   sizeof(kernel_cap_t)) ||
	    memcmp(&a->cap_effective, &b->cap_effective,
		   sizeof(kernel_cap_t)) ||
	    memcmp(&a->cap_bset, &b->cap_bset, sizeof(kernel_cap_t)) ||
	    memcmp(&a->cap_ambient, &b->cap_ambient, sizeof(kernel_cap_t)))
		return false;

	if (ga->ngroups != gb->ngroups)
		return false;
	for (i = 0; i < ga->ngroups; i++)
		if (!gid_eq(ga->gid[i], gb->gid[i]))
			return false;

	return true;
}

static struct task_struct *rxe_get_task(u32 tid)
{
	struct pid *pid = find_get_pid(tid);
	struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);

	put_pid(pid);
	return task;
}

/*
 * To hand out a thread's credentials is to act as that thread, which is what
 * ptrace asks CAP_SYS_PTRACE for (ptrace_may_access() itself is not exported).
 */
static int rxe_adopt_file(struct file *file, u32 tid)
{
	struct task_struct *task;

	if (!ns_capable(&init_user_ns, CAP_SYS_PTRACE))
		return -EPERM;

	task = rxe_get_task(tid);
	if (!task)
		return -ESRCH;

	put_cred(xchg(&file->f_cred, get_task_cred(task)));
	put_task_struct(task);

	return 0;
}

/*
 * Is the calling thread driven by somebody who may act as any thread? Then it
 * is being restored, and has of its own only what that has given it.
 */
static bool rxe_is_restored(void)
{
	struct task_struct *tracer;
	bool is;

	rcu_read_lock();
	tracer = ptrace_parent(current);
	is = tracer && has_capability(tracer, CAP_SYS_PTRACE);
	rcu_read_unlock();

	return is;
}

/* Those of @file, if the first thread of the caller's process has them. */
static const struct cred *rxe_get_first_cred(struct file *file)
{
	const struct cred *cred;

	rcu_read_lock();
	cred = READ_ONCE(file->f_cred);
	if (cred != __task_cred(current->group_leader))
		cred = NULL;
	else
		cred = get_cred_rcu(cred);
	rcu_read_unlock();

	return cred;
}

static bool rxe_is_first_cred(const struct cred *cred)
{
	bool is;

	rcu_read_lock();
	is = cred == __task_cred(current->group_leader);
	rcu_read_unlock();

	return is;
}

/*
 * The calling thread gets the credentials of its process's first thread. Two
 * objects that compare equal may still differ in what cannot be compared: a
 * Landlock domain, which a thread can enter alone. So no thread may call this
 * for itself, though threads of one process share their memory: only who is
 * restored, for which a dump has made sure that there is no such domain.
 */
static int rxe_adopt_thread(struct file *file)
{
	const struct cred *cred;
	int err = -EACCES;

	if (!rxe_is_restored())
		return -EPERM;

	cred = rxe_get_first_cred(file);
	if (!cred)
		return -EACCES;

	if (cred == current_cred())
		err = 0;
	else if (rxe_cred_equal(cred, current_cred()) &&
		 rxe_cred_same_label() &&
		 /* the label was that of these credentials */
		 rxe_is_first_cred(cred))
		return commit_creds((struct cred *)cred);

	put_cred(cred);
	return err;
}

/* What ib_safe_file_access() would say of it. */
static int rxe_thread_may_write(struct file *file, u32 tid)
{
	struct task_struct *task = rxe_get_task(tid);
	bool may;

	if (!task)
		return -ESRCH;

	rcu_read_lock();
	may = READ_ONCE(file->f_cred) == __task_cred(task);
	rcu_read_unlock();
	put_task_struct(task);

	return may ? 0 : -EACCES;
}

/* The file of @fd, if it is the one that the method was called on. */
static struct file *rxe_own_file(struct ib_uverbs_file *ufile, u32 fd)
{
	struct file *file = fget(fd);

	if (file && file->private_data != ufile) {
		fput(file);
		file = NULL;
	}

	return file;
}

int rxe_may_write(struct ib_uverbs_file *ufile,
		  const struct sealift_rxe_adopt *in)
{
	struct file *file = rxe_own_file(ufile, in->fd);
	int err;

	if (!file)
		return -EBADF;

	err = rxe_thread_may_write(file, in->tid);
	fput(file);

	return err;
}

int rxe_adopt(struct ib_uverbs_file *ufile, const struct sealift_rxe_adopt *in)
{
	struct file *file = rxe_own_file(ufile, in->fd);
	int err;

	if (!file)
		return -EBADF;

	if (in->tid)
		err = rxe_adopt_file(file, in->tid);
	else
		err = rxe_adopt_thread(file);
	fput(file);

	return err;
}
