/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* command — console words: `cmd=pmm,pci` on the command line runs them
 * after boot, before the tests.
 *
 * A command prints what its part knows about itself through log_line and changes nothing. */
#ifndef KERNEL_COMMAND_H
#define KERNEL_COMMAND_H

#include "base/compiler.h"

struct command {
        const char *name;
        const char *help; /* one line */
        void (*run)(void);
        void *reserved;
};

#define COMMAND(variable_, name_, help_, run_)                  \
        LINKER_TABLE_ENTRY(command_table)                       \
        static const struct command variable_ = {               \
                .name = (name_), .help = (help_), .run = (run_)}

/* Runs the commands of a comma-separated list; an unknown one is named,
 * with the list of known ones. */
void command_run_list(const char *names);

#endif
