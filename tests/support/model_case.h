/* model_case - golden cases as a model meets them: architecture, frozen weights, adapter, and the rows
 * of expected/encoded.jsonl as batches. Every failure is the test's. Threads: the test's. */
#ifndef TESTS_SUPPORT_MODEL_CASE_H
#define TESTS_SUPPORT_MODEL_CASE_H

#include "tests/support/slots_case.h"
#include "worker/model/model.h"

enum { MOST_ROWS = 400, MOST_LENGTH = 128, MOST_LABELS = 8 };

/* A row of expected/encoded.jsonl. */
typedef struct Row {
    int64_t length;
    int32_t ids[MOST_LENGTH], types[MOST_LENGTH], labels[MOST_LENGTH];
    float goal[MOST_LABELS];
    float *pixels; /* owned */
} Row;

typedef struct Set {
    Row rows[MOST_ROWS];
    int count;
} Set;

typedef struct Subject {
    const char *name;
    Case c;
    Weights weights;
    Set train, dev;
} Subject;

/* Where a case's first values are: its init adapter, or the model itself. */
const char *first_values_of(int g);

/* Settings (NULL: trained whole) and values may be of two folders. Of a row of several texts each is a row of the sets,
 * one behind the other. */
Subject *open_subject_of(const GoldenCase *of, const char *settings_of, const char *values_of);

/* golden[g] with dropout off and its first values. */
Subject *open_subject(int g);
/* The same with other LoRA settings (keys of adapter_config.json; NULL: trained whole); values are zero. */
Subject *open_subject_with(int g, const char *lora);
/* With settings and values of an adapter's folder. */
Subject *open_subject_adapter(int g, const char *adapter);
/* Its base anew, by another precision, loaded as by so many ranks. */
void reload_subject(Subject *s, Precision precision, int parts);
void close_subject(Subject *s);
char *file_of(const Subject *s, const char *file); /* owned */

typedef struct Packed {
    Batch batch;
    int64_t *start, *example;
    int32_t *ids, *types, *labels;
    float *goal, *pixels;
} Packed;

/* rows[index[0, B)] end to end; index NULL: the first B. */
Packed pack(const Subject *s, const Set *set, const int *index, int B);
void unpack(Packed *p);

Model *open_subject_model(const Subject *s, const Packed *p, double lora_dropout);

/* Largest |a - b|, relative to the largest of b. */
double difference(const float *a, const float *b, int64_t n);

#endif
