/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost-user-net — a vhost-user back end for virtio network cards, built on the device side of
 * lib/virtqueue: `vhost-user-net --help` is its manual.
 *
 *   socket --> vhost_channel --> vhost_session --> vhost_vring --> lib/virtqueue
 *                                   |  vhost_memory                   |
 *   frames <-- vhost_port (read, checked, copied) <-------------------+
 *      |
 *   fabric: switch, macswap, echo, discard --> vhost_port, tap_port, responder_port, pcap_file
 *
 * One thread: it moves frames while there are any, then asks every driver for a kick and sleeps in
 * epoll. A timer interrupts system calls once a second, so that a descriptor of a front end that
 * blocks cannot hold us.
 *
 * Facts       docs/interop/vhost-user.rst of QEMU 7.2; signalfd(2), setitimer(2) */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/peers/vhost-user-net/fabric.h"
#include "tests/peers/vhost-user-net/options.h"
#include "tests/peers/vhost-user-net/responder_port.h"
#include "tests/peers/vhost-user-net/tap_port.h"
#include "tests/peers/vhost-user-net/vhost_port.h"

#define LOOKS_BUSY 16      /* rounds with frames between two looks at the descriptors */
#define LOOKS_IDLE 256     /* rounds without, when polling */
#define SLEEP_MS 1000
#define STALLED_SLEEP_MS 5

static struct program {
        struct options options;
        struct poller poller;
        struct fabric fabric;
        struct pcap_file capture;
        struct net_port *ports[FABRIC_PORTS_MAX];
        uint32_t ports_count;
        struct poller_watch signals;
        bool ending;
        uint64_t seconds;
} program;

static volatile sig_atomic_t ticks; /* of the timer; the loop follows */

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "vhost-user-net: %s:%u: %s does not hold: a bug of this program\n", file,
                line, expression);
        abort();
}

/* ---- counters ---- */

static void print_port(const struct net_port *port)
{
        const struct net_port_counters *counters = &port->counters;
        const struct {
                const char *name;
                uint64_t value;
        } all[] = {
                {"frames_in", counters->frames_in},
                {"bytes_in", counters->bytes_in},
                {"frames_out", counters->frames_out},
                {"bytes_out", counters->bytes_out},
                {"discarded", counters->discarded},
                {"bad_frames", counters->bad_frames},
                {"dropped_full", counters->dropped_full},
                {"dropped_down", counters->dropped_down},
                {"dropped_offload", counters->dropped_offload},
                {"dropped_large", counters->dropped_large},
        };
        printf("stats port=%s", port->name);
        for (size_t i = 0; i < ARRAY_COUNT(all); i++)
                printf(" %s=%llu", all[i].name, (unsigned long long)all[i].value);
}

static void print_session(const struct vhost_port *vhost)
{
        const struct vhost_session *session = &vhost->session;
        uint64_t kicks = 0, calls = 0;
        for (uint32_t i = 0; i < session->rings_used; i++) {
                kicks += session->rings[i].kicks;
                calls += session->rings[i].calls;
        }
        printf(" sessions=%llu connected=%d features=0x%llx rings=%u broken_rings=%llu kicks=%llu"
               " calls=%llu",
               (unsigned long long)vhost->sessions, session->open,
               (unsigned long long)session->features, session->rings_used,
               (unsigned long long)session->broken_rings, (unsigned long long)kicks,
               (unsigned long long)calls);
}

static bool is_vhost(uint32_t index)
{
        enum option_port_kind kind = program.options.ports[index].kind;
        return kind == OPTION_LISTEN || kind == OPTION_CONNECT;
}

static struct vhost_port *vhost_of(uint32_t index)
{
        return CONTAINER_OF(program.ports[index], struct vhost_port, port);
}

static void print_stats(void)
{
        for (uint32_t i = 0; i < program.ports_count; i++) {
                print_port(program.ports[i]);
                if (is_vhost(i))
                        print_session(vhost_of(i));
                printf("\n");
        }
        fflush(stdout);
        if (program.options.capture != NULL)
                pcap_file_flush(&program.capture);
}

/* ---- signals ---- */

static void signal_came(struct poller_watch *watch)
{
        struct signalfd_siginfo info;
        while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGUSR1)
                        print_stats();
                else
                        program.ending = true;
        }
}

static void timer_ticked(int number)
{
        ticks = 1;
}

/* A page of a front end's memory is gone: empty ones take its place, and the session ends soon. */
static void page_is_gone(int number, siginfo_t *info, void *context)
{
        if (vhost_memory_fault(info->si_addr))
                return;
        signal(SIGBUS, SIG_DFL); /* no front end's: the next try ends us */
}

static bool set_up_signals(void)
{
        struct sigaction ticking = {.sa_handler = timer_ticked};
        struct sigaction gone = {.sa_sigaction = page_is_gone, .sa_flags = SA_SIGINFO};
        struct itimerval second = {{1, 0}, {1, 0}};
        sigset_t handled;
        sigemptyset(&handled);
        sigaddset(&handled, SIGINT);
        sigaddset(&handled, SIGTERM);
        sigaddset(&handled, SIGUSR1);
        if (sigprocmask(SIG_BLOCK, &handled, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
            sigaction(SIGALRM, &ticking, NULL) != 0 || sigaction(SIGBUS, &gone, NULL) != 0 ||
            setitimer(ITIMER_REAL, &second, NULL) != 0)
                return false;
        program.signals.ready = signal_came;
        int fd = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
        return fd >= 0 && poller_add(&program.poller, &program.signals, fd, POLLER_READABLE);
}

/* ---- the loop ---- */

/* Front ends decide what a tap may leave undone: the least of what they take. */
static void set_tap_offloads(void)
{
        uint64_t features = UINT64_MAX;
        bool somebody = false;
        for (uint32_t i = 0; i < program.ports_count; i++)
                if (is_vhost(i) && vhost_of(i)->session.features != 0) {
                        features &= vhost_of(i)->session.features;
                        somebody = true;
                }
        for (uint32_t i = 0; i < program.ports_count; i++)
                if (program.options.ports[i].kind == OPTION_TAP)
                        tap_port_set_offloads(program.ports[i], somebody ? features : 0);
}

static bool all_have_gone(void)
{
        uint64_t came = 0;
        for (uint32_t i = 0; i < program.ports_count; i++) {
                if (!is_vhost(i))
                        continue;
                if (vhost_of(i)->session.open)
                        return false;
                came += vhost_of(i)->sessions;
        }
        return came != 0;
}

static void look(int timeout_ms)
{
        poller_wait(&program.poller, timeout_ms);
        set_tap_offloads();
        if (program.options.once && all_have_gone())
                program.ending = true;
        if (!ticks)
                return;
        ticks = 0;
        program.seconds++;
        for (uint32_t i = 0; i < program.ports_count; i++)
                program.ports[i]->ops->tick(program.ports[i]);
        if (program.options.stats_seconds != 0 &&
            program.seconds % program.options.stats_seconds == 0)
                print_stats();
}

static bool must_poll(void)
{
        for (uint32_t i = 0; i < program.ports_count; i++)
                if (program.ports[i]->ops->must_poll(program.ports[i]))
                        return true;
        return program.options.busy_poll;
}

static void run(void)
{
        uint32_t rounds = 0;
        while (!program.ending) {
                if (fabric_run(&program.fabric)) {
                        if (++rounds % LOOKS_BUSY == 0)
                                look(0);
                } else if (must_poll()) {
                        __builtin_ia32_pause();
                        if (++rounds % LOOKS_IDLE == 0)
                                look(0);
                } else if (fabric_ask(&program.fabric)) {
                        look(0);
                } else {
                        look(fabric_stalled(&program.fabric) ? STALLED_SLEEP_MS : SLEEP_MS);
                }
        }
}

/* ---- start and end ---- */

static struct net_port *open_port(const struct option_port *port)
{
        struct vhost_port *vhost;
        switch (port->kind) {
        case OPTION_TAP:
                return tap_port_new(port->argument, &program.poller);
        case OPTION_RESPOND:
                return responder_port_new(port->argument);
        default:
                vhost = vhost_port_new(port->argument, port->kind == OPTION_CONNECT,
                                       &program.options.offer, &program.poller);
                if (vhost == NULL)
                        return NULL;
                vhost->session.verbose = program.options.verbose;
                return &vhost->port;
        }
}

static bool open_ports(void)
{
        for (uint32_t i = 0; i < program.options.ports_count; i++) {
                struct net_port *port = open_port(&program.options.ports[i]);
                if (port == NULL)
                        return false;
                program.ports[program.ports_count++] = port;
                if (!fabric_add(&program.fabric, port)) {
                        fprintf(stderr, "vhost-user-net: no memory for %s\n", port->name);
                        return false;
                }
        }
        return true;
}

static bool start(void)
{
        const struct options *options = &program.options;
        program.fabric.mode = options->mode;
        program.fabric.when_full = options->when_full;
        if (!poller_init(&program.poller) || !set_up_signals()) {
                fprintf(stderr, "vhost-user-net: %s\n", strerror(errno));
                return false;
        }
        if (options->capture != NULL) {
                if (!pcap_file_open(&program.capture, options->capture)) {
                        fprintf(stderr, "%s: %s\n", options->capture, strerror(errno));
                        return false;
                }
                program.fabric.capture = &program.capture;
        }
        return open_ports();
}

static bool end(void)
{
        bool good = true;
        if (program.options.stats_at_end)
                print_stats();
        for (uint32_t i = 0; i < program.ports_count; i++)
                if (is_vhost(i))
                        vhost_session_close(&vhost_of(i)->session, NULL);
        fabric_fini(&program.fabric);
        for (uint32_t i = 0; i < program.ports_count; i++)
                program.ports[i]->ops->close(program.ports[i]);
        if (program.options.capture != NULL && program.fabric.capture != NULL)
                good = pcap_file_close(&program.capture);
        return good;
}

int main(int argc, char **argv)
{
        switch (options_read(&program.options, argc, argv)) {
        case OPTIONS_DONE:
                return EXIT_SUCCESS;
        case OPTIONS_WRONG:
                return EXIT_USAGE;
        case OPTIONS_RUN:
                break;
        }
        bool started = start();
        if (started)
                run();
        return end() && started ? EXIT_SUCCESS : EXIT_FAILURE;
}
