/* metric_case - a line of JSON that says what to measure -> Metrics; for the unit test and for the
 * program that tests/interop/metrics.py asks. A line holds
 *
 *   task, problem, labels  as in a run file; labels: a number, or for TOKEN_CLS the names
 *   losses                 [B] of the examples
 *   logits, goal           SEQ_CLS, IMAGE_CLS: [B][labels] and [B] or [B][labels]
 *   goal, guess            TOKEN_CLS: [B][tokens], -100 in goal: no label
 *   tokens                 CAUSAL_LM: [B]
 *   texts                  CAUSAL_LM: [B][text, [reference, ...]]; may be left out */
#ifndef TESTS_SUPPORT_METRIC_CASE_H
#define TESTS_SUPPORT_METRIC_CASE_H

#include "common/base/json.h"
#include "common/metrics/metrics.h"

/* Measures `chunk` examples at a time, each in Metrics of its own, and merges those in order.
 * *names is the array that the spec borrows: free it behind metrics_release. */
Metrics metric_case(const json_t *line, int64_t chunk, const char ***names);

#endif
