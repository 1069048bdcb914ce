/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* command — runs console words; see command.h. */
#include "kernel/command.h"

#include <stddef.h>
#include <string.h>

#include "kernel/linker_table.h"
#include "kernel/log.h"

LINKER_TABLE_DECLARE(command_table, struct command);

static const struct command *command_find(const char *name, size_t length)
{
        LINKER_TABLE_FOR_EACH(command, command_table, struct command)
        {
                if (strlen(command->name) == length && memcmp(command->name, name, length) == 0)
                        return command;
        }
        return NULL;
}

static void command_help(void)
{
        LINKER_TABLE_FOR_EACH(command, command_table, struct command)
        {
                log_line("%-12s %s", command->name, command->help);
        }
}
COMMAND(help_command, "help", "the console words, one a line", command_help);

void command_run_list(const char *names)
{
        while (*names != '\0') {
                size_t length = strcspn(names, ",");
                const struct command *command = command_find(names, length);
                if (command != NULL) {
                        command->run();
                } else if (length != 0) {
                        log_line("cmd: no console word '%.*s'; known are:", (int)length, names);
                        command_help();
                }
                names += length + (names[length] == ',');
        }
}
