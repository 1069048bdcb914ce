/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What each message does, see vhost_session.h. Facts: docs/interop/vhost-user.rst of QEMU 7.2. */
#define _GNU_SOURCE
#include "tests/peers/vhost-user-net/vhost_session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/peers/vhost-user-net/net_header.h"

#define MESSAGES_AT_ONCE 64 /* before others get a turn */
#define MTU_MIN 68u
#define MTU_MAX 65535u
#define EVENTFD_LINK "anon_inode:[eventfd]"

/* A handler: false, with `why`, when the message is wrong. */
typedef bool handler(struct vhost_session *session, struct vhost_message *message, char *why);

#define WRONG(...) (snprintf(why, VHOST_WHY_BYTES, __VA_ARGS__), false)

/* ---- features ---- */

static bool reply_word(struct vhost_session *session, uint64_t word, char *why)
{
        if (vhost_channel_reply(&session->channel, &word, sizeof(word)))
                return true;
        return WRONG("the reply could not be sent: %s", strerror(errno));
}

static bool get_features(struct vhost_session *session, struct vhost_message *message, char *why)
{
        return reply_word(session, session->offer->features, why);
}

static bool any_running(const struct vhost_session *session)
{
        for (uint32_t i = 0; i < session->rings_used; i++)
                if (session->rings[i].running)
                        return true;
        return false;
}

static bool set_features(struct vhost_session *session, struct vhost_message *message, char *why)
{
        uint64_t features = message->payload.word;
        uint64_t unknown = features & ~session->offer->features;
        if (unknown != 0)
                return WRONG("features 0x%llx were not offered", (unsigned long long)unknown);
        if (features != session->features && any_running(session))
                return WRONG("features change while rings run");
        session->features = features;
        if (!(features & BIT_MASK(VHOST_F_PROTOCOL_FEATURES_BIT)))
                for (uint32_t i = 0; i < VHOST_RINGS_MAX; i++)
                        session->rings[i].enabled = true;
        return true;
}

static bool get_protocol_features(struct vhost_session *session, struct vhost_message *message,
                                  char *why)
{
        return reply_word(session, session->offer->protocol_features, why);
}

static bool set_protocol_features(struct vhost_session *session, struct vhost_message *message,
                                  char *why)
{
        uint64_t unknown = message->payload.word & ~session->offer->protocol_features;
        if (unknown != 0)
                return WRONG("protocol features 0x%llx were not offered",
                             (unsigned long long)unknown);
        session->protocol_features = message->payload.word;
        return true;
}

static bool get_queue_num(struct vhost_session *session, struct vhost_message *message, char *why)
{
        return reply_word(session, session->offer->pairs, why);
}

static bool do_nothing(struct vhost_session *session, struct vhost_message *message, char *why)
{
        return true;
}

static bool set_mtu(struct vhost_session *session, struct vhost_message *message, char *why)
{
        uint64_t mtu = message->payload.word;
        if (mtu < MTU_MIN || mtu > MTU_MAX)
                return WRONG("an MTU of %llu, %u to %u are possible", (unsigned long long)mtu,
                             MTU_MIN, MTU_MAX);
        session->mtu = (uint32_t)mtu;
        return true;
}

static bool get_config(struct vhost_session *session, struct vhost_message *message, char *why)
{
        struct vhost_config *config = &message->payload.config;
        if (config->bytes + VHOST_CONFIG_HEAD_BYTES != message->header.bytes)
                return WRONG("%u bytes asked for in a message of %u", config->bytes,
                             message->header.bytes);
        for (uint32_t i = 0; i < config->bytes; i++) { /* at most VHOST_CONFIG_BYTES_MAX */
                uint64_t at = (uint64_t)config->offset + i;
                config->data[i] =
                        at < VHOST_NET_CONFIG_BYTES ? session->offer->config[at] : (uint8_t)0;
        }
        if (vhost_channel_reply(&session->channel, config, message->header.bytes))
                return true;
        return WRONG("the reply could not be sent: %s", strerror(errno));
}

static bool set_config(struct vhost_session *session, struct vhost_message *message, char *why)
{
        return WRONG("the configuration is read-only");
}

/* ---- memory ---- */

/* Takes the rings off the memory; their places are kept. */
static void halt_rings(struct vhost_session *session)
{
        for (uint32_t i = 0; i < session->rings_used; i++) {
                struct vhost_vring *ring = &session->rings[i];
                if (ring->running) {
                        vhost_vring_stop(ring);
                        ring->halted = true;
                }
        }
}

/* Puts them back, those whose areas are in the memory now. */
static void go_on(struct vhost_session *session)
{
        const struct vhost_vring_start start = {.memory = &session->memory,
                                                .features = session->features};
        char why[VHOST_WHY_BYTES];
        for (uint32_t i = 0; i < session->rings_used; i++) {
                struct vhost_vring *ring = &session->rings[i];
                if (ring->halted && !vhost_vring_start(ring, &start, why) && session->verbose)
                        fprintf(stderr, "%s: ring %u waits for memory: %s\n", session->name, i,
                                why);
        }
}

static bool set_mem_table(struct vhost_session *session, struct vhost_message *message, char *why)
{
        const struct vhost_memory_table *table = &message->payload.table;
        if (table->count > VHOST_TABLE_REGIONS_MAX)
                return WRONG("%u regions, at most %u are possible", table->count,
                             VHOST_TABLE_REGIONS_MAX);
        if (message->header.bytes !=
            VHOST_TABLE_HEAD_BYTES + table->count * sizeof(struct vhost_region))
                return WRONG("%u bytes for %u regions", message->header.bytes, table->count);
        if (message->fds_count != table->count)
                return WRONG("%u descriptors for %u regions", message->fds_count, table->count);
        halt_rings(session);
        vhost_memory_clear(&session->memory);
        for (uint32_t i = 0; i < table->count; i++)
                if (!vhost_memory_add(&session->memory, &table->regions[i], message->fds[i], why))
                        return false;
        if (session->memory.table.count != table->count)
                return WRONG("%u regions, %zu of them different", table->count,
                             session->memory.table.count);
        go_on(session);
        return true;
}

static bool get_max_mem_slots(struct vhost_session *session, struct vhost_message *message,
                              char *why)
{
        return reply_word(session, VHOST_MEMORY_SLOTS, why);
}

static bool add_mem_reg(struct vhost_session *session, struct vhost_message *message, char *why)
{
        halt_rings(session);
        if (!vhost_memory_add(&session->memory, &message->payload.single.region, message->fds[0],
                              why))
                return false;
        go_on(session);
        return true;
}

static bool rem_mem_reg(struct vhost_session *session, struct vhost_message *message, char *why)
{
        const struct vhost_region *region = &message->payload.single.region;
        halt_rings(session);
        if (!vhost_memory_remove(&session->memory, region))
                return WRONG("there is no region 0x%llx+0x%llx",
                             (unsigned long long)region->guest_address,
                             (unsigned long long)region->bytes);
        go_on(session);
        return true;
}

/* ---- rings ---- */

/* The ring that a message is about; NULL: there is none of that number. */
static struct vhost_vring *find_ring(struct vhost_session *session, uint32_t index, char *why)
{
        uint32_t count = 2 * session->offer->pairs;
        if (index >= count) {
                snprintf(why, VHOST_WHY_BYTES, "ring %u, there are %u", index, count);
                return NULL;
        }
        if (session->rings_used <= index)
                session->rings_used = index + 1;
        return &session->rings[index];
}

static bool set_vring_num(struct vhost_session *session, struct vhost_message *message, char *why)
{
        const struct vhost_vring_state *state = &message->payload.state;
        struct vhost_vring *ring = find_ring(session, state->index, why);
        if (ring == NULL)
                return false;
        if (ring->running)
                return WRONG("ring %u runs", state->index);
        bool packed = vhost_session_has(session, NET_F_PACKED_BIT);
        if (!(packed ? virtqueue_packed_size_valid(state->value) :
                       virtqueue_split_size_valid(state->value)))
                return WRONG("a %s ring of %u entries", packed ? "packed" : "split", state->value);
        ring->size = state->value;
        return true;
}

static bool set_vring_base(struct vhost_session *session, struct vhost_message *message, char *why)
{
        const struct vhost_vring_state *state = &message->payload.state;
        struct vhost_vring *ring = find_ring(session, state->index, why);
        if (ring == NULL)
                return false;
        if (ring->running)
                return WRONG("ring %u runs", state->index);
        ring->base = state->value;
        return true;
}

static bool start_if_ready(struct vhost_session *session, struct vhost_vring *ring, char *why)
{
        const struct vhost_vring_start start = {.memory = &session->memory,
                                                .features = session->features};
        return ring->running || ring->halted || !vhost_vring_ready(ring) ||
               vhost_vring_start(ring, &start, why);
}

static bool set_vring_addr(struct vhost_session *session, struct vhost_message *message, char *why)
{
        const struct vhost_vring_addresses *addresses = &message->payload.addresses;
        struct vhost_vring *ring = find_ring(session, addresses->index, why);
        if (ring == NULL)
                return false;
        if (addresses->flags != 0)
                return WRONG("flags 0x%x: logging was not negotiated", addresses->flags);
        vhost_vring_stop(ring);
        ring->halted = false;
        ring->addresses = *addresses;
        ring->addresses_set = true;
        return start_if_ready(session, ring, why);
}

static bool get_vring_base(struct vhost_session *session, struct vhost_message *message, char *why)
{
        struct vhost_vring_state state = message->payload.state;
        struct vhost_vring *ring = find_ring(session, state.index, why);
        if (ring == NULL)
                return false;
        vhost_vring_stop(ring);
        poller_remove(session->poller, &session->kicks[state.index].watch);
        if (ring->kick_fd >= 0)
                close(ring->kick_fd);
        ring->kick_fd = -1;
        ring->kickable = ring->halted = false;
        state.value = ring->base;
        if (vhost_channel_reply(&session->channel, &state, sizeof(state)))
                return true;
        return WRONG("the reply could not be sent: %s", strerror(errno));
}

/* The ring and the descriptor of a message for one of the three; *fd is -1 when there is none. */
static struct vhost_vring *take_vring_fd(struct vhost_session *session,
                                         struct vhost_message *message, int *fd, char *why)
{
        uint64_t word = message->payload.word;
        bool none = (word & BIT_MASK(VHOST_VRING_NO_FD_BIT)) != 0;
        struct vhost_vring *ring =
                find_ring(session, (uint32_t)word & VHOST_VRING_INDEX_MASK, why);
        if (ring == NULL)
                return NULL;
        if (word >> (VHOST_VRING_NO_FD_BIT + 1) != 0 || message->fds_count != !none) {
                snprintf(why, VHOST_WHY_BYTES, "%u descriptors with 0x%llx", message->fds_count,
                         (unsigned long long)word);
                return NULL;
        }
        *fd = none ? -1 : message->fds[0];
        message->fds[0] = -1;
        return ring;
}

static bool set_vring_kick(struct vhost_session *session, struct vhost_message *message, char *why)
{
        int fd;
        struct vhost_vring *ring = take_vring_fd(session, message, &fd, why);
        if (ring == NULL)
                return false;
        struct poller_watch *watch = &session->kicks[ring - session->rings].watch;
        poller_remove(session->poller, watch);
        if (ring->kick_fd >= 0)
                close(ring->kick_fd);
        ring->kick_fd = fd;
        if (fd >= 0 && !poller_add(session->poller, watch, fd, POLLER_EDGES))
                return WRONG("the descriptor cannot be waited for: %s", strerror(errno));
        ring->kickable = true;
        return start_if_ready(session, ring, why);
}

/* Whether writing 8 bytes signals somebody; unknown without /proc. */
static bool is_eventfd(int fd)
{
        char path[32], link[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(path, link, sizeof(link) - 1);
        if (bytes < 0)
                return true;
        link[bytes] = '\0';
        return strcmp(link, EVENTFD_LINK) == 0;
}

/* Replaces *kept by the message's descriptor, which must be an eventfd that does not wait. */
static struct vhost_vring *replace_eventfd(struct vhost_session *session,
                                           struct vhost_message *message, size_t kept_offset,
                                           char *why)
{
        int fd;
        struct vhost_vring *ring = take_vring_fd(session, message, &fd, why);
        if (ring == NULL)
                return NULL;
        if (fd >= 0 && (!is_eventfd(fd) || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)) {
                snprintf(why, VHOST_WHY_BYTES, "the descriptor is no eventfd");
                close(fd);
                return NULL;
        }
        int *kept = (int *)(void *)((char *)ring + kept_offset);
        if (*kept >= 0)
                close(*kept);
        *kept = fd;
        return ring;
}

static bool set_vring_call(struct vhost_session *session, struct vhost_message *message, char *why)
{
        struct vhost_vring *ring = replace_eventfd(session, message,
                                                   offsetof(struct vhost_vring, call_fd), why);
        if (ring == NULL)
                return false;
        /* What went to the old descriptor may have been lost. */
        if (ring->running && !vhost_vring_signal_always(ring))
                return WRONG("the descriptor does not take a signal: %s", strerror(errno));
        return true;
}

static bool set_vring_err(struct vhost_session *session, struct vhost_message *message, char *why)
{
        return replace_eventfd(session, message, offsetof(struct vhost_vring, error_fd), why) !=
               NULL;
}

static bool set_vring_enable(struct vhost_session *session, struct vhost_message *message,
                             char *why)
{
        const struct vhost_vring_state *state = &message->payload.state;
        struct vhost_vring *ring = find_ring(session, state->index, why);
        if (ring == NULL)
                return false;
        if (!vhost_session_has(session, VHOST_F_PROTOCOL_FEATURES_BIT) && session->features != 0)
                return WRONG("bit %u was not negotiated", VHOST_F_PROTOCOL_FEATURES_BIT);
        if (state->value > 1)
                return WRONG("%u is neither 0 nor 1", state->value);
        ring->enabled = state->value != 0;
        return true;
}

/* The device as it was before anybody spoke to its rings; the memory stays. */
static bool reset_device(struct vhost_session *session, struct vhost_message *message, char *why)
{
        for (uint32_t i = 0; i < session->rings_used; i++) {
                poller_remove(session->poller, &session->kicks[i].watch);
                vhost_vring_fini(&session->rings[i]);
        }
        session->features = 0;
        return true;
}

/* ---- dispatch ---- */

#define NO_FEATURE (-1)
#define PAYLOAD(member) sizeof(((union vhost_payload *)0)->member)

/* What is known of each message beforehand. */
static const struct rule {
        const char *name;
        handler *handle;
        uint16_t bytes_min, bytes_max;
        uint8_t fds_min, fds_max;
        bool replies; /* by itself */
        int8_t protocol_bit;
} rules[VHOST_REQUEST_END] = {
#define RULE(request, function, least, most, fds_least, fds_most, replies_itself, bit)         \
        [VHOST_##request] = {#request, function, least, most, fds_least, fds_most, replies_itself, \
                             bit}
        RULE(GET_FEATURES, get_features, 0, 8, 0, 0, true, NO_FEATURE),
        RULE(SET_FEATURES, set_features, 8, 8, 0, 0, false, NO_FEATURE),
        RULE(SET_OWNER, do_nothing, 0, 8, 0, 0, false, NO_FEATURE),
        RULE(RESET_OWNER, do_nothing, 0, 8, 0, 0, false, NO_FEATURE),
        RULE(SET_MEM_TABLE, set_mem_table, VHOST_TABLE_HEAD_BYTES, PAYLOAD(table), 0,
             VHOST_TABLE_REGIONS_MAX, false, NO_FEATURE),
        RULE(SET_VRING_NUM, set_vring_num, 8, 8, 0, 0, false, NO_FEATURE),
        RULE(SET_VRING_ADDR, set_vring_addr, PAYLOAD(addresses), PAYLOAD(addresses), 0, 0, false,
             NO_FEATURE),
        RULE(SET_VRING_BASE, set_vring_base, 8, 8, 0, 0, false, NO_FEATURE),
        RULE(GET_VRING_BASE, get_vring_base, 8, 8, 0, 0, true, NO_FEATURE),
        RULE(SET_VRING_KICK, set_vring_kick, 8, 8, 0, 1, false, NO_FEATURE),
        RULE(SET_VRING_CALL, set_vring_call, 8, 8, 0, 1, false, NO_FEATURE),
        RULE(SET_VRING_ERR, set_vring_err, 8, 8, 0, 1, false, NO_FEATURE),
        RULE(GET_PROTOCOL_FEATURES, get_protocol_features, 0, 8, 0, 0, true, NO_FEATURE),
        RULE(SET_PROTOCOL_FEATURES, set_protocol_features, 8, 8, 0, 0, false, NO_FEATURE),
        RULE(GET_QUEUE_NUM, get_queue_num, 0, 8, 0, 0, true, VHOST_PROTOCOL_MQ_BIT),
        RULE(SET_VRING_ENABLE, set_vring_enable, 8, 8, 0, 0, false, NO_FEATURE),
        RULE(NET_SET_MTU, set_mtu, 8, 8, 0, 0, false, VHOST_PROTOCOL_NET_MTU_BIT),
        RULE(GET_CONFIG, get_config, VHOST_CONFIG_HEAD_BYTES, PAYLOAD(config), 0, 0, true,
             VHOST_PROTOCOL_CONFIG_BIT),
        RULE(SET_CONFIG, set_config, VHOST_CONFIG_HEAD_BYTES, PAYLOAD(config), 0, 0, false,
             VHOST_PROTOCOL_CONFIG_BIT),
        RULE(RESET_DEVICE, reset_device, 0, 8, 0, 0, false, VHOST_PROTOCOL_RESET_DEVICE_BIT),
        RULE(GET_MAX_MEM_SLOTS, get_max_mem_slots, 0, 8, 0, 0, true, VHOST_PROTOCOL_MEM_SLOTS_BIT),
        RULE(ADD_MEM_REG, add_mem_reg, PAYLOAD(single), PAYLOAD(single), 1, 1, false,
             VHOST_PROTOCOL_MEM_SLOTS_BIT),
        RULE(REM_MEM_REG, rem_mem_reg, PAYLOAD(single), PAYLOAD(single), 0, 1, false,
             VHOST_PROTOCOL_MEM_SLOTS_BIT),
#undef RULE
};

/* What can be said of a message without its values. */
static bool message_fits(const struct vhost_session *session, const struct rule *rule,
                         const struct vhost_message *message, char *why)
{
        uint32_t bytes = message->header.bytes;
        if (rule->protocol_bit != NO_FEATURE &&
            !(session->protocol_features & BIT_MASK(rule->protocol_bit)))
                return WRONG("protocol feature %d was not negotiated", rule->protocol_bit);
        if (bytes < rule->bytes_min || bytes > rule->bytes_max)
                return WRONG("%u bytes, %u to %u are right", bytes, rule->bytes_min,
                             rule->bytes_max);
        if (message->fds_count < rule->fds_min || message->fds_count > rule->fds_max)
                return WRONG("%u descriptors, %u to %u are right", message->fds_count,
                             rule->fds_min, rule->fds_max);
        return true;
}

static bool handle(struct vhost_session *session, char *why)
{
        struct vhost_message *message = &session->channel.message;
        uint32_t request = message->header.request;
        const struct rule *rule = request < VHOST_REQUEST_END ? &rules[request] : NULL;
        char what[VHOST_WHY_BYTES];
        if (rule == NULL || rule->handle == NULL)
                return WRONG("message %u is unknown", request);
        bool wants_ack = !rule->replies &&
                         message->header.flags & BIT_MASK(VHOST_NEED_REPLY_BIT) &&
                         session->protocol_features & BIT_MASK(VHOST_PROTOCOL_REPLY_ACK_BIT);
        if (session->verbose)
                fprintf(stderr, "%s: %s 0x%llx\n", session->name, rule->name,
                        (unsigned long long)message->payload.word);
        bool good = message_fits(session, rule, message, what) &&
                    rule->handle(session, message, what);
        session->messages++;
        if (wants_ack && !reply_word(session, !good, why))
                return false;
        if (!good)
                snprintf(why, VHOST_WHY_BYTES, "%s: %.*s", rule->name, VHOST_WHY_BYTES - 32, what);
        return good;
}

void vhost_session_receive(struct vhost_session *session)
{
        char why[VHOST_WHY_BYTES];
        for (int i = 0; i < MESSAGES_AT_ONCE && session->open; i++) {
                switch (vhost_channel_receive(&session->channel, why)) {
                case VHOST_CHANNEL_AGAIN:
                        return;
                case VHOST_CHANNEL_CLOSED:
                        vhost_session_close(session, NULL);
                        return;
                case VHOST_CHANNEL_BROKEN:
                        vhost_session_close(session, why);
                        return;
                case VHOST_CHANNEL_MESSAGE:
                        break;
                }
                if (!handle(session, why))
                        vhost_session_close(session, why);
                else
                        vhost_channel_release(&session->channel);
        }
}

/* ---- life ---- */

static void kicked(struct poller_watch *watch)
{
        CONTAINER_OF(watch, struct vhost_kick_watch, watch)->ring->kicks++;
}

void vhost_session_init(struct vhost_session *session, const char *name,
                        const struct vhost_offer *offer, struct poller *poller)
{
        session->name = name;
        session->offer = offer;
        session->poller = poller;
        session->open = false;
        vhost_memory_init(&session->memory);
        for (uint32_t i = 0; i < VHOST_RINGS_MAX; i++) {
                vhost_vring_init(&session->rings[i]);
                session->kicks[i] = (struct vhost_kick_watch){
                        .watch = {.ready = kicked, .fd = -1}, .ring = &session->rings[i]};
        }
}

void vhost_session_open(struct vhost_session *session, int socket)
{
        session->features = session->protocol_features = 0;
        session->mtu = session->rings_used = 0;
        vhost_channel_open(&session->channel, socket);
        session->open = true;
        if (session->verbose)
                fprintf(stderr, "%s: a front end has come\n", session->name);
}

void vhost_session_close(struct vhost_session *session, const char *why)
{
        if (!session->open)
                return;
        if (why != NULL)
                fprintf(stderr, "%s: %s; the connection is closed\n", session->name, why);
        else if (session->verbose)
                fprintf(stderr, "%s: the front end has gone\n", session->name);
        for (uint32_t i = 0; i < VHOST_RINGS_MAX; i++) {
                poller_remove(session->poller, &session->kicks[i].watch);
                vhost_vring_fini(&session->rings[i]);
        }
        vhost_memory_clear(&session->memory);
        vhost_channel_close(&session->channel);
        session->features = session->protocol_features = 0;
        session->rings_used = 0;
        session->open = false;
}

bool vhost_session_must_poll(const struct vhost_session *session)
{
        for (uint32_t i = 0; i < session->rings_used; i++)
                if (session->rings[i].running && session->rings[i].kick_fd < 0)
                        return true;
        return false;
}
