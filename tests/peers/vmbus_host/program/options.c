/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* options — see the header. */
#include "tests/peers/vmbus_host/program/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/peers/vmbus_host/vmbus_host_lie.h"
#include "tests/peers/vmbus_host/wire_net.h"

static const char help[] =
"usage: vmbus-host --socket PATH --ram FILE --mem SIZE [options]\n"
"\n"
"A VMBus host for a guest under plain QEMU: serves QEMU's ivshmem-doorbell device at PATH and\n"
"reads and writes the guest's memory in FILE. QEMU is started with\n"
"  -chardev socket,path=PATH,id=vmbus -device ivshmem-doorbell,chardev=vmbus,vectors=9\n"
"  -object memory-backend-file,id=ram,share=on,mem-path=FILE,size=SIZE\n"
"  -machine MACHINE,memory-backend=ram -m SIZE\n"
"and, without KVM, never room for one processor only (-smp 1,maxcpus=2): the guest's accesses to\n"
"rings would not be ordered, and signals be lost\n"
"(./run-qemu.sh --vmbus does all that). It offers a network card and two echo channels, and\n"
"ends when QEMU does.\n"
"\n"
"  --net NETWORK     what is behind the card: responder (leases 10.0.2.15, answers ARP, pings\n"
"                    and UDP port 7, pings the guest), none, tap=INTERFACE, socket=HOST:PORT or\n"
"                    socket=/PATH (QEMU's -netdev stream, listening), dgram=/PATH (responder)\n"
"  --mac ADDRESS     the card's address (52:54:00:76:6d:62)\n"
"  --queues N        queues of the card, 1 to 4 (1)\n"
"  --vmbus-version V newest version of VMBus to speak, such as 5.3 (6.0)\n"
"  --nvsp V          newest version of NVSP that the card speaks: 6.1, 6, 5, 4, 2 or 1 (6.1)\n"
"  --control PATH    takes orders, a line each, at a Unix socket (socat - UNIX:PATH):\n"
"                      rescind DEVICE    takes net, echo or pipe away from the guest\n"
"                      offer DEVICE      offers it again, as soon as the guest has let it go\n"
"                      link down|up      pulls the card's cable, or puts it back\n"
"                      show              says what is offered and what is open\n"
"                      count             says how often the host woke up, and how often the guest\n"
"                                        had no room for more frames\n"
"                    each is answered by 'ok' or 'error: why'\n"
"  --echo            only the echo channels, no card\n"
"  --lie SEED        breaks the rules of a host on purpose, repeatably; all but those named\n"
"                    MAILBOX_..., each of which ends the guest's connection at once\n"
"  --lie-rate N      one opportunity to lie in N (100)\n"
"  --lie-only NAME   only this lie; may be repeated; 'list' prints them\n"
"  --keep            waits for the next QEMU when one has ended\n"
"  --stats           prints what happened, at the end\n"
"  --verbose         prints every rule that the guest broke, not only the first of each kind\n"
"  --help            this text\n"
"\n"
"SIZE is such as 256M, less than 2816M: beyond that the guest's addresses are no offsets in\n"
"FILE any more. Exit status: 0; 1 when something failed; 2 for a wrong command line.\n";

static int refuse(const char *option, const char *value, const char *expected)
{
        fprintf(stderr, "vmbus-host: %s %s: expected %s (--help has the options)\n", option, value,
                expected);
        return 2;
}

static bool read_number(const char *text, uint64_t *value)
{
        char *end;
        errno = 0;
        *value = strtoull(text, &end, 0);
        return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool read_size(const char *text, uint64_t *bytes)
{
        char *end;
        errno = 0;
        uint64_t number = strtoull(text, &end, 10);
        if (text[0] < '1' || text[0] > '9' || errno != 0 || number > 1 << 20 ||
            (strcmp(end, "M") != 0 && strcmp(end, "G") != 0))
                return false;
        *bytes = number << (*end == 'M' ? 20 : 30);
        return true;
}

static bool read_mac(const char *text, uint8_t mac[6])
{
        unsigned bytes[6];
        char rest;
        if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
                   &bytes[4], &bytes[5], &rest) != 6)
                return false;
        for (unsigned i = 0; i < 6; i++)
                mac[i] = (uint8_t)bytes[i];
        return (mac[0] & 1) == 0;
}

static bool read_version(const char *text, uint32_t *version)
{
        unsigned major, minor;
        char rest;
        if (sscanf(text, "%1u.%1u%c", &major, &minor, &rest) != 2)
                return false;
        *version = major << 16 | minor;
        return major >= 3 && major <= 6;
}

static bool read_nvsp(const char *text, uint32_t *version)
{
        static const struct {
                const char *text;
                uint32_t version;
        } known[] = {{"6.1", NVSP_VERSION_6_1}, {"6", NVSP_VERSION_6}, {"6.0", NVSP_VERSION_6},
                     {"5", NVSP_VERSION_5},     {"4", NVSP_VERSION_4}, {"2", NVSP_VERSION_2},
                     {"1", NVSP_VERSION_1}};
        for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                if (strcmp(text, known[i].text) == 0) {
                        *version = known[i].version;
                        return true;
                }
        }
        return false;
}

static int list_lies(void)
{
        for (unsigned i = 0; i < VMBUS_HOST_LIES; i++)
                printf("%-22s %s\n", vmbus_host_lie_name(i), vmbus_host_lie_text(i));
        return 0;
}

static bool add_lie(const char *name, uint64_t *lies)
{
        for (unsigned i = 0; i < VMBUS_HOST_LIES; i++) {
                if (strcmp(name, vmbus_host_lie_name(i)) == 0) {
                        *lies |= 1ull << i;
                        return true;
                }
        }
        return false;
}

/* An option that stands alone; false: it is none. */
static bool read_flag(struct options *options, const char *option)
{
        bool *flag = strcmp(option, "--echo") == 0      ? &options->echo_only
                     : strcmp(option, "--keep") == 0    ? &options->keep
                     : strcmp(option, "--stats") == 0   ? &options->stats
                     : strcmp(option, "--verbose") == 0 ? &options->verbose
                                                        : NULL;
        if (flag == NULL)
                return false;
        *flag = true;
        return true;
}

/* An option with a value; -1, or the exit status. */
static int read_value(struct options *options, const char *option, const char *value)
{
        uint64_t number = 0;
        if (strcmp(option, "--socket") == 0) {
                options->socket_path = value;
        } else if (strcmp(option, "--ram") == 0) {
                options->ram_path = value;
        } else if (strcmp(option, "--net") == 0) {
                options->network = value;
        } else if (strcmp(option, "--mem") == 0) {
                if (!read_size(value, &options->ram_bytes))
                        return refuse(option, value, "a size such as 256M or 1G");
        } else if (strcmp(option, "--mac") == 0) {
                if (!read_mac(value, options->mac))
                        return refuse(option, value, "an address such as 52:54:00:76:6d:62");
        } else if (strcmp(option, "--queues") == 0) {
                if (!read_number(value, &number) || number < 1 || number > 4)
                        return refuse(option, value, "a number from 1 to 4");
                options->queues = (uint32_t)number;
        } else if (strcmp(option, "--vmbus-version") == 0) {
                if (!read_version(value, &options->version_max))
                        return refuse(option, value, "a version from 3.0 to 6.0");
        } else if (strcmp(option, "--nvsp") == 0) {
                if (!read_nvsp(value, &options->nvsp_max))
                        return refuse(option, value, "6.1, 6, 5, 4, 2 or 1");
        } else if (strcmp(option, "--control") == 0) {
                options->control_path = value;
        } else if (strcmp(option, "--lie") == 0) {
                if (!read_number(value, &options->lie_seed))
                        return refuse(option, value, "a number");
                options->lie = true;
        } else if (strcmp(option, "--lie-rate") == 0) {
                if (!read_number(value, &number) || number < 1 || number > 1000000000)
                        return refuse(option, value, "a number from 1 to 1000000000");
                options->lie_rate = (uint32_t)number;
        } else if (strcmp(option, "--lie-only") == 0) {
                if (strcmp(value, "list") == 0)
                        return list_lies();
                if (!add_lie(value, &options->lies))
                        return refuse(option, value, "a lie; 'list' prints them");
        } else {
                fprintf(stderr, "vmbus-host: unknown option %s (--help has the options)\n", option);
                return 2;
        }
        return -1;
}

static int check(struct options *options)
{
        if (options->socket_path == NULL || options->ram_path == NULL || options->ram_bytes == 0) {
                fprintf(stderr, "vmbus-host: --socket, --ram and --mem are needed (--help)\n");
                return 2;
        }
        if (options->ram_bytes >= OPTIONS_RAM_BYTES_LIMIT) {
                fprintf(stderr,
                        "vmbus-host: --mem: a guest with %llu MiB or more has memory above 4 GiB, "
                        "whose\naddresses are no offsets in its file; take less\n",
                        OPTIONS_RAM_BYTES_LIMIT >> 20);
                return 2;
        }
        if (options->lies != 0 && !options->lie) {
                fprintf(stderr, "vmbus-host: --lie-only without --lie: say which seed\n");
                return 2;
        }
        if (options->lies == 0)
                options->lies = VMBUS_HOST_LIE_ALL & ~VMBUS_HOST_LIE_OF_MAILBOX;
        return -1;
}

int options_read(struct options *options, int argc, char **argv)
{
        *options = (struct options){.network = "responder",
                                    .mac = {0x52, 0x54, 0x00, 0x76, 0x6d, 0x62},
                                    .queues = 1,
                                    .lie_rate = 100};
        for (int i = 1; i < argc; i++) {
                const char *option = argv[i];
                if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
                        fputs(help, stdout);
                        return 0;
                }
                if (read_flag(options, option))
                        continue;
                if (i + 1 == argc)
                        return refuse(option, "", "a value, or an option that exists");
                int status = read_value(options, option, argv[++i]);
                if (status >= 0)
                        return status;
        }
        return check(options);
}
