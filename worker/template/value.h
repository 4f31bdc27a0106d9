/* template_value - what the variables of a chat template hold, as Python has it: strings, numbers,
 * lists, dicts; how they compare, and how they are written (str, repr, JSON).
 *
 * All values of a rendering live in its Pool and go with it. Strings are UTF-8; what counts or cuts
 * characters counts code points. Keys of dicts are strings.
 *
 * Owner: the Pool, which is the caller's. Threads: one at a time a Pool. */
#ifndef WORKER_TEMPLATE_VALUE_H
#define WORKER_TEMPLATE_VALUE_H

#include "common/base/json.h"
#include "common/base/text.h"

#include <stdint.h>

/* Memory in blocks, given back all at once. Zeroed is empty. */
typedef struct Pool {
    struct PoolBlock *last; /* owned */
    size_t used; /* of all blocks */
} Pool;

void *pool_take(Pool *pool, size_t size); /* cleared, aligned to 16 */
void pool_release(Pool *pool);

typedef enum {
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_REAL,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP, /* `loop` inside a for */
    VALUE_MACRO,
    VALUE_FUNCTION /* a builtin, or a method bound to its object */
} ValueKind;

typedef struct Value {
    ValueKind kind;
    union {
        int64_t whole; /* BOOL, INT */
        double real;
        struct {
            const char *data; /* STRING; UNDEFINED: what was not found */
            size_t size;
        } string;
        struct List *list; /* LIST, TUPLE */
        struct Dict *dict; /* DICT, NAMESPACE */
        const struct Loop *loop;
        const struct Macro *macro;
        const struct Function *function;
    };
} Value;

typedef struct List {
    Value *items;
    int64_t count, room;
} List;

typedef struct Dict {
    Value *keys, *values;
    int64_t count, room;
} Dict;

/* Strings have a '\0' behind them. */
Value value_string(const char *data, size_t size); /* borrowed */
Value value_text(const char *string); /* borrowed */
Value value_copy(Pool *pool, const char *data, size_t size);
Value value_bool(bool truth);
Value value_int(int64_t whole);
Value value_real(double real);
Value value_list(Pool *pool, ValueKind kind);
Value value_dict(Pool *pool, ValueKind kind);
Value value_from_json(Pool *pool, const json_t *json); /* strings are borrowed from json */

void list_add(Pool *pool, List *list, Value item);
void dict_put(Pool *pool, Dict *dict, Value key, Value value);
const Value *dict_get(const Dict *dict, const char *key, size_t size); /* NULL: not there */

bool value_is(Value value, const char *string);
bool value_truth(Value value);
bool value_number(Value value, double *number); /* BOOL, INT, REAL */
bool value_equal(Value a, Value b);

/* -1, 0, 1 in *order; false: these two have no order. */
bool value_order(Value a, Value b, int *order);

/* Code points of a string; byte where code point `at` starts (at <= count). */
int64_t utf8_count(const char *data, size_t size);
size_t utf8_offset(const char *data, size_t size, int64_t at);

/* As str() and repr() write it; an undefined one is empty. */
void value_write(Text *out, Value value);

typedef struct JsonStyle {
    bool ascii, sorted;
    const char *indent; /* NULL: one line */
    const char *comma, *colon;
} JsonStyle;

/* As json.dumps; false: `value` holds what JSON has no form for. */
bool value_dump(Text *out, Value value, const JsonStyle *style);

/* "str", "list", ...: for messages */
const char *value_type(Value value);

#endif
