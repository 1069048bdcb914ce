/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* smoke — runs a fuzz target without libFuzzer, for `make test`: random inputs, the same in every
 * run, none of them guided. What needs a search is left to `make fuzz`; what most inputs meet is
 * found here, by any compiler that has the sanitizers.
 *
 * Usage: PROGRAM [--seconds N] [--inputs N] [--only K] [SEED_FILE...]
 *   --seconds  CPU time after which no new input is begun (2)
 *   --inputs   at most that many (1000000)
 *   --only     only input number K: what a failure names
 * Every other input is one of the seeds with some bytes changed, where there are seeds. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INPUT_BYTES_MAX 2048u
#define SEEDS_MAX 256u
#define CHANGES_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
void __sanitizer_set_death_callback(void (*callback)(void));

static struct {
        uint8_t bytes[INPUT_BYTES_MAX];
        size_t count;
} seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t number; /* of the input that is being run */

/* SplitMix64: each input has a stream of its own, so that it can be made again alone. */
static uint64_t random_state;

static uint64_t random_u64(void)
{
        uint64_t x = random_state += 0x9e3779b97f4a7c15ull;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
        x = (x ^ x >> 27) * 0x94d049bb133111ebull;
        return x ^ x >> 31;
}

static uint32_t random_below(uint32_t limit)
{
        return (uint32_t)(random_u64() >> 32) % limit;
}

/* Small numbers are what most decisions of a target are made of. */
static uint8_t random_byte(void)
{
        uint32_t kind = random_below(4);
        return (uint8_t)(kind == 0 ? random_u64() >> 56 : random_below(kind == 1 ? 4 : 32));
}

static void say_which(void)
{
        fprintf(stderr, "smoke: failed at input %" PRIu64 " (--only %" PRIu64 ")\n", number,
                number);
}

static void on_abort(int signal_number)
{
        say_which();
        signal(signal_number, SIG_DFL);
        raise(signal_number);
}

static void load_seed(const char *path)
{
        int file = open(path, O_RDONLY);
        ssize_t count = file < 0 ? -1 : read(file, seeds[seed_count].bytes, INPUT_BYTES_MAX);
        if (count < 0) {
                perror(path);
                exit(2);
        }
        seeds[seed_count++].count = (size_t)count;
        close(file);
}

static void run_input(void)
{
        static uint8_t made[INPUT_BYTES_MAX];
        size_t count;
        random_state = number * 0xd1342543de82ef95ull;
        if (seed_count != 0 && number % 2 == 1) {
                uint32_t which = random_below((uint32_t)seed_count);
                count = seeds[which].count;
                memcpy(made, seeds[which].bytes, count);
                for (uint32_t i = random_below(CHANGES_MAX); count != 0 && i != 0; i--)
                        made[random_below((uint32_t)count)] = random_byte();
        } else {
                count = random_below(random_below(2) == 0 ? 64 : INPUT_BYTES_MAX) + 1;
                for (size_t i = 0; i < count; i++)
                        made[i] = random_byte();
        }
        /* Exactly as long as it is, so that a look behind it is noticed. */
        uint8_t *input = malloc(count + (count == 0));
        if (input == NULL)
                exit(2);
        memcpy(input, made, count);
        LLVMFuzzerTestOneInput(input, count);
        free(input);
}

static double cpu_seconds(void)
{
        return (double)clock() / CLOCKS_PER_SEC;
}

int main(int argc, char **argv)
{
        uint64_t inputs_max = 1000000, only = UINT64_MAX;
        double seconds = 2;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
                        seconds = strtod(argv[++i], NULL);
                else if (strcmp(argv[i], "--inputs") == 0 && i + 1 < argc)
                        inputs_max = strtoull(argv[++i], NULL, 0);
                else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
                        only = strtoull(argv[++i], NULL, 0);
                else if (argv[i][0] != '-' && seed_count < SEEDS_MAX)
                        load_seed(argv[i]);
        }
        __sanitizer_set_death_callback(say_which);
        signal(SIGABRT, on_abort);
        signal(SIGILL, on_abort); /* a trap */
        if (only != UINT64_MAX) {
                number = only;
                run_input();
                return 0;
        }
        for (; number < inputs_max && cpu_seconds() < seconds; number++)
                run_input();
        printf("smoke: %" PRIu64 " inputs, %zu seeds, nothing found\n", number, seed_count);
        return 0;
}
