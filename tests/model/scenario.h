/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* scenario — runs one relacy test and says what came of it. After relacy's own headers. */
#ifndef TESTS_MODEL_SCENARIO_H
#define TESTS_MODEL_SCENARIO_H

#include <cstdio>

/* No thread of ours takes more steps than this when it makes progress. */
#define SCENARIO_STEPS_MAX 20000

/* `iterations` random schedules of `suite`, called `name`; whether it holds in all of them. */
template <class suite> static bool scenario_holds(const char *name, unsigned iterations)
{
        rl::test_params params;
        params.iteration_count = iterations;
        params.execution_depth_limit = SCENARIO_STEPS_MAX;
        params.search_type = rl::random_scheduler_type;
        bool good = rl::simulate<suite>(params);
        printf("scenario %s: %s\n", name, good ? "holds" : rl::test_result_str(params.test_result));
        return good;
}

#endif
