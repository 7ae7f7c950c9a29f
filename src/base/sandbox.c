/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sandbox.h. Main thread.
 *
 * A list of what is allowed, in groups with a reason each. What is not on it fails with EPERM, and
 * the kernel logs it: a library may try this and that and has another way. What no library of ours
 * ever tries, and what an attacker wants (another program, another process, code in memory, other
 * sockets, the kernel's inside), ends the process.
 */
#include "base/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/util.h"

/* Sanitizers open files, make processes and trace them (which takes a capability, as we are not
 * dumpable). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#undef VC_HAVE_CAP_NG
#undef VC_HAVE_SECCOMP
#endif
#ifdef VC_HAVE_CAP_NG
#include <cap-ng.h>
#endif
#ifdef VC_HAVE_SECCOMP
#include <seccomp.h>
#endif

/* ---- privileges ---- */

#ifdef VC_HAVE_CAP_NG

static int capabilities_drop(const int *keep, size_t count)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < count; i++)
		if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
		                 (unsigned int)keep[i]) < 0)
			return -EINVAL;
	/* The bounding set goes first: it takes a capability by itself. Whether we have that does
	 * not matter, as no program is ever executed. */
	(void)capng_apply(CAPNG_SELECT_BOUNDS);
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}

#else

static int capabilities_drop(const int *keep, size_t count)
{
	return -ENOSYS;
}

#endif

int sandbox_privileges(struct sandbox *sandbox, const int *keep, size_t count)
{
	int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;

	if (!err)
		err = capabilities_drop(keep, count);
	sandbox->capabilities = !err;
	if (err == -ENOSYS)
		log_info("built without libcap-ng, or with a sanitizer: capabilities are kept");
	else if (err)
		log_warning("cannot give capabilities up: %s", strerror(-err));
	return err;
}

/* ---- system calls ---- */

#ifdef VC_HAVE_SECCOMP

/* Memory: malloc, memory of front ends and clients, locked keys. mmap and mprotect are apart. */
static const int memory_calls[] = {
	SCMP_SYS(brk),     SCMP_SYS(munmap),       SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(mlock),        SCMP_SYS(mlock2),
	SCMP_SYS(munlock), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
};

/* Threads: locks, sleep, CPUs, their ends; whose they are. Where none is made any more, one that
 * was made just now may begin only now: it says its name, how exactly it sleeps (prctl, apart), and
 * steps back. */
static const int thread_calls[] = {
	SCMP_SYS(futex),           SCMP_SYS(sched_yield),
	SCMP_SYS(setpriority),     SCMP_SYS(sched_getaffinity),
	SCMP_SYS(nanosleep),       SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime),   SCMP_SYS(gettimeofday),
	SCMP_SYS(restart_syscall), SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list), SCMP_SYS(getcpu),
	SCMP_SYS(gettid),          SCMP_SYS(getpid),
	SCMP_SYS(tgkill),          SCMP_SYS(exit),
	SCMP_SYS(exit_group),      SCMP_SYS(getrandom),
	SCMP_SYS(getuid),          SCMP_SYS(getgid),
	SCMP_SYS(geteuid),         SCMP_SYS(getegid),
	SCMP_SYS(sysinfo), /* glibc's qsort() */
	SCMP_SYS(rt_sigaction),    SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),    SCMP_SYS(sigaltstack),
};

/* Descriptors that are there, or come over a socket, or tell that a client has died. */
static const int descriptor_calls[] = {
	SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(readv),
	SCMP_SYS(writev),       SCMP_SYS(close),          SCMP_SYS(fcntl),
	SCMP_SYS(dup),          SCMP_SYS(fstat),          SCMP_SYS(fstatfs),
	SCMP_SYS(newfstatat),   SCMP_SYS(lseek),          SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),    SCMP_SYS(epoll_wait),     SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2), /* timed */
	SCMP_SYS(poll),         SCMP_SYS(ppoll),          SCMP_SYS(eventfd2),
	SCMP_SYS(signalfd4),    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(getrlimit),    SCMP_SYS(prlimit64),      SCMP_SYS(pidfd_open),
};

/* UNIX sockets; socket and socketpair are apart. */
static const int socket_calls[] = {
	SCMP_SYS(connect),  SCMP_SYS(accept4),     SCMP_SYS(recvfrom),    SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),   SCMP_SYS(sendmsg),     SCMP_SYS(getsockopt),  SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

/* Names: what kind of descriptor it is that a front end sent (/proc/self/fd); our own sockets go
 * with us. */
static const int name_calls[] = {
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
};

/* Asynchronous I/O: the notifier. */
static const int aio_calls[] = {
	SCMP_SYS(io_submit),
	SCMP_SYS(io_getevents),
	SCMP_SYS(io_destroy),
};

/* A PCI device, through uio or vfio, and where its memory is. */
static const int device_calls[] = {
	SCMP_SYS(open),      SCMP_SYS(openat),     SCMP_SYS(ioctl),      SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),  SCMP_SYS(statx),      SCMP_SYS(getdents64), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(flock),      SCMP_SYS(fallocate),
};

/* More UNIX sockets to listen at (others cannot be made), with a mode of their own; more threads,
 * where they belong (clone is apart). */
static const int growth_calls[] = {
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(umask),
	SCMP_SYS(sched_setaffinity),
};

/* Who does not grow. */
static const int no_growth_calls[] = {
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(clone),
	SCMP_SYS(clone3),
};

/* What a new thread shares with the others: all of it, and no more than that is asked for. */
#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |        \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

/* Nothing here ever does that. */
static const int deadly_calls[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(bpf),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(personality),
};

static int add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		err = seccomp_rule_add(filter, action, calls[i], 0);
		/* Not of this architecture: then nobody can call it. */
		if (err == -EDOM)
			err = 0;
	}
	return err;
}

#define allow(filter, calls) add(filter, SCMP_ACT_ALLOW, calls, vc_array_size(calls))

/* Those that are right with some arguments only. The second rule is as narrow as the first, or
 * libseccomp would not know which one is meant. */
static int add_conditional(scmp_filter_ctx filter)
{
	static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	static const int opening[] = {SCMP_SYS(socket), SCMP_SYS(socketpair)};
	static const int control[] = {PR_SET_NAME, PR_SET_TIMERSLACK};
	int err = 0;

	/* No code that was not there at the start. */
	for (size_t i = 0; i < vc_array_size(mapping) && !err; i++) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping[i], 1,
		                       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		if (!err)
			err = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, mapping[i], 1,
			                       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	}
	for (size_t i = 0; i < vc_array_size(opening) && !err; i++) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, opening[i], 1,
		                       SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
		if (!err)
			err = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, opening[i], 1,
			                       SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	}
	for (size_t i = 0; i < vc_array_size(control) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
		                       SCMP_A0(SCMP_CMP_EQ, (uint64_t)control[i]));
	return err;
}

static int add_growth(scmp_filter_ctx filter)
{
	int err = allow(filter, growth_calls);

	/* clone3 takes its flags where a filter cannot look; libc knows the other way. */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		                       SCMP_A0(SCMP_CMP_EQ, THREAD_FLAGS));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
		                       SCMP_A0(SCMP_CMP_NE, THREAD_FLAGS));
	return err;
}

static int filter_fill(scmp_filter_ctx filter, unsigned int needs)
{
	int err = allow(filter, memory_calls);

	if (!err)
		err = allow(filter, thread_calls);
	if (!err)
		err = allow(filter, descriptor_calls);
	if (!err)
		err = allow(filter, socket_calls);
	if (!err)
		err = allow(filter, name_calls);
	if (!err)
		err = allow(filter, aio_calls);
	if (!err && needs & SANDBOX_IOMMU)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
	if (!err && needs & SANDBOX_DEVICES)
		err = allow(filter, device_calls);
	if (!err && needs & SANDBOX_GROWTH)
		err = add_growth(filter);
	else if (!err)
		err = add(filter, SCMP_ACT_KILL_PROCESS, no_growth_calls,
		          vc_array_size(no_growth_calls));
	if (!err)
		err = add(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, vc_array_size(deadly_calls));
	return err ? err : add_conditional(filter);
}

static int seal(unsigned int needs)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err;

	if (!filter)
		return -ENOMEM;
	/* The threads that there are already, too. */
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	/* The log, and a search that is quicker than one after the other, are good to have. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = filter_fill(filter, needs);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

#else

static int seal(unsigned int needs)
{
	return -ENOSYS;
}

#endif

int sandbox_seal(struct sandbox *sandbox, unsigned int needs)
{
	int err = seal(needs);

	sandbox->sealed = !err;
	if (err == -ENOSYS)
		log_info("built without libseccomp, or with a sanitizer: system calls are not "
		         "filtered");
	else if (err)
		log_warning("cannot filter system calls: %s", strerror(-err));
	return err;
}

const char *sandbox_describe(const struct sandbox *sandbox)
{
	if (sandbox->sealed)
		return sandbox->capabilities ? "full" : "calls";
	return sandbox->capabilities ? "capabilities" : "none";
}
