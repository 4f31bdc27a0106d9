/* Field numbers are those of onnx.proto (onnx 1.12). */
#include "common/export/onnx.h"

#include "common/base/file.h"
#include "common/base/maths.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { IR_VERSION = 8, OPSET = 17, PAGE = 4096, SMALL = 1024, MOST = 2000000000 };

/* Kinds of attributes. */
enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7 };

void onnx_release(Onnx *g)
{
    for (int i = 0; i < g->tensor_count; i++) {
        free(g->tensors[i].name);
        free(g->tensors[i].data);
    }
    for (int i = 0; i < g->name_count; i++)
        free(g->names[i]);
    free(g->tensors);
    free(g->names);
    text_release(&g->nodes);
    text_release(&g->inputs);
    text_release(&g->outputs);
    text_release(&g->attributes);
    *g = (Onnx){ 0 };
}

/* ---- protobuf: a tag, then a varint, four bytes, or a length and bytes ---------------------------- */

static void put_varint(Text *out, uint64_t x)
{
    char bytes[10];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7)
        bytes[n++] = (char)(x | 0x80);
    bytes[n++] = (char)x;
    text_add(out, bytes, n);
}

static void put_int(Text *out, int field, int64_t x)
{
    put_varint(out, (uint64_t)field << 3);
    put_varint(out, (uint64_t)x);
}

/* A field of `size` bytes begins. */
static void put_length(Text *out, int field, uint64_t size)
{
    put_varint(out, (uint64_t)field << 3 | 2);
    put_varint(out, size);
}

static void put_bytes(Text *out, int field, const void *data, size_t size)
{
    put_length(out, field, size);
    text_add(out, data, size);
}

static void put_string(Text *out, int field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

/* A message as a field; it is empty afterwards. */
static void put_message(Text *out, int field, Text *message)
{
    put_bytes(out, field, message->data ? message->data : "", message->size);
    text_release(message);
}

/* ---- nodes ------------------------------------------------------------------------------- */

static void put_attribute(Onnx *g, Text *attribute, int64_t type)
{
    put_int(attribute, 20, type);
    put_message(&g->attributes, 5, attribute);
}

void onnx_int(Onnx *g, const char *name, int64_t value)
{
    Text a = { 0 };
    put_string(&a, 1, name);
    put_int(&a, 3, value);
    put_attribute(g, &a, ATTRIBUTE_INT);
}

void onnx_float(Onnx *g, const char *name, double value)
{
    Text a = { 0 };
    const float x = (float)value;
    put_string(&a, 1, name);
    put_varint(&a, 2 << 3 | 5);
    text_add(&a, (const char *)&x, sizeof x);
    put_attribute(g, &a, ATTRIBUTE_FLOAT);
}

void onnx_ints(Onnx *g, const char *name, const int64_t *values, int count)
{
    Text a = { 0 };
    put_string(&a, 1, name);
    for (int i = 0; i < count; i++)
        put_int(&a, 8, values[i]);
    put_attribute(g, &a, ATTRIBUTE_INTS);
}

static const char *own(Onnx *g, char *name)
{
    g->names = xrealloc(g->names, ((size_t)g->name_count + 1) * sizeof *g->names);
    return g->names[g->name_count++] = name;
}

void onnx_node_many(Onnx *g, const char *op, OnnxInputs inputs, const char **outputs, int count)
{
    Text node = { 0 };
    for (int i = 0; i < 8 && inputs[i]; i++)
        put_string(&node, 1, inputs[i]);
    for (int i = 0; i < count; i++) {
        if (!outputs[i])
            outputs[i] = own(g, xprintf("v%d", g->name_count));
        put_string(&node, 2, outputs[i]);
    }
    char *name = xprintf("%s:%s", op, outputs[0]);
    put_string(&node, 3, name);
    free(name);
    put_string(&node, 4, op);
    text_add(&node, g->attributes.data ? g->attributes.data : "", g->attributes.size);
    text_release(&g->attributes);
    put_message(&g->nodes, 1, &node);
}

const char *onnx_node(Onnx *g, const char *op, OnnxInputs inputs, const char *name)
{
    const char *output = name ? own(g, xstrdup(name)) : NULL;
    onnx_node_many(g, op, inputs, &output, 1);
    return output;
}

const char *onnx_op1(Onnx *g, const char *op, const char *a)
{
    return onnx_node(g, op, (OnnxInputs){ a }, NULL);
}

const char *onnx_op2(Onnx *g, const char *op, const char *a, const char *b)
{
    return onnx_node(g, op, (OnnxInputs){ a, b }, NULL);
}

/* ---- tensors ------------------------------------------------------------------------------ */

static OnnxTensor *find_tensor(Onnx *g, const char *name)
{
    for (int i = 0; i < g->tensor_count; i++)
        if (strcmp(g->tensors[i].name, name) == 0)
            return &g->tensors[i];
    return NULL;
}

/* Takes name; the tensor of that name, which is new where it has no count. */
static OnnxTensor *tensor_named(Onnx *g, char *name)
{
    OnnxTensor *found = find_tensor(g, name);
    if (found) {
        free(name);
        return found;
    }
    g->tensors = xrealloc(g->tensors, ((size_t)g->tensor_count + 1) * sizeof *g->tensors);
    found = &g->tensors[g->tensor_count++];
    *found = (OnnxTensor){ .name = name };
    return found;
}

static int64_t bytes_of(const OnnxTensor *t)
{
    return t->count * (t->type == ONNX_INT64 ? 8 : 4);
}

static const char *constant(Onnx *g, char *name, OnnxType type, int dims, int64_t count, const void *data)
{
    OnnxTensor *t = tensor_named(g, name);
    if (t->count > 0)
        return t->name;
    t->type = type;
    t->dims = dims;
    t->dim[0] = t->count = count;
    t->data = xmalloc((size_t)bytes_of(t));
    memcpy(t->data, data, (size_t)bytes_of(t));
    return t->name;
}

const char *onnx_f32(Onnx *g, double value)
{
    const float x = (float)value;
    return constant(g, xprintf("f32_%.9g", (double)x), ONNX_FLOAT, 0, 1, &x);
}

const char *onnx_i64(Onnx *g, int64_t value)
{
    return constant(g, xprintf("i64_%lld", (long long)value), ONNX_INT64, 0, 1, &value);
}

const char *onnx_i64s(Onnx *g, const int64_t *values, int count)
{
    Text name = { 0 };
    text_adds(&name, "i64s");
    for (int i = 0; i < count; i++)
        text_addf(&name, "_%lld", (long long)values[i]);
    return constant(g, text_take(&name), ONNX_INT64, 1, count, values);
}

const char *onnx_f32s(Onnx *g, const char *name, const float *values, int64_t count)
{
    return constant(g, xstrdup(name), ONNX_FLOAT, 1, count, values);
}

const char *onnx_weight(Onnx *g, const char *name, int dims, const int64_t *dim, int64_t of, bool turned)
{
    OnnxTensor *t = tensor_named(g, xstrdup(name));
    if (t->count > 0)
        return t->name;
    t->type = ONNX_FLOAT;
    t->dims = dims;
    t->count = 1;
    t->of = of;
    t->turned = turned;
    for (int d = 0; d < dims; d++) {
        t->dim[d] = dim[turned ? dims - 1 - d : d];
        t->count *= dim[d];
    }
    return t->name;
}

void onnx_value(Onnx *g, bool output, const char *name, OnnxType type, int dims, const int64_t *dim,
                const char *const *params)
{
    Text value = { 0 }, whole = { 0 }, tensor = { 0 }, shape = { 0 };
    for (int d = 0; d < dims; d++) {
        Text size = { 0 };
        if (dim[d] < 0)
            put_string(&size, 2, params[-dim[d] - 1]);
        else
            put_int(&size, 1, dim[d]);
        put_message(&shape, 1, &size);
    }
    put_int(&tensor, 1, type);
    put_message(&tensor, 2, &shape);
    put_message(&whole, 1, &tensor);
    put_string(&value, 1, name);
    put_message(&value, 2, &whole);
    put_message(output ? &g->outputs : &g->inputs, output ? 12 : 11, &value);
}

/* ---- the file -------------------------------------------------------------------------------- */

typedef struct Out {
    Onnx *g;
    OnnxMake make;
    void *self;
    float *room, *turned; /* [the largest weight] */
    bool external;
} Out;

static bool is_external(const Out *o, const OnnxTensor *t)
{
    return o->external && !t->data && bytes_of(t) >= SMALL;
}

static bool write_text(FILE *file, const Text *text, Err *err)
{
    return text->size == 0 || fwrite(text->data, 1, text->size, file) == text->size || err_errno(err, "cannot write");
}

static bool write_numbers(const Out *o, FILE *file, const OnnxTensor *t, Err *err)
{
    const size_t bytes = (size_t)bytes_of(t);
    if (t->data)
        return fwrite(t->data, 1, bytes, file) == bytes || err_errno(err, "cannot write");
    if (!o->make(o->self, t, o->room, err))
        return err_at(err, "%s", t->name);
    if (maths_not_finite(o->room, t->count) < t->count)
        return err_set(err, ERR_INPUT, "it holds values that are not finite") || err_at(err, "%s", t->name);
    const float *x = o->room;
    if (t->turned) { /* what is made has the rows that are columns here */
        for (int64_t r = 0; r < t->dim[1]; r++)
            for (int64_t c = 0; c < t->dim[0]; c++)
                o->turned[c * t->dim[1] + r] = o->room[r * t->dim[0] + c];
        x = o->turned;
    }
    return fwrite(x, 1, bytes, file) == bytes || err_errno(err, "cannot write");
}

static void put_entry(Text *out, const char *key, const char *value)
{
    Text entry = { 0 };
    put_string(&entry, 1, key);
    put_string(&entry, 2, value);
    put_message(out, 13, &entry);
}

/* A TensorProto up to its numbers, which stand last: then the length of raw_data is the end of it. */
static void put_tensor(Text *head, const Out *o, const OnnxTensor *t)
{
    char number[32];
    for (int d = 0; d < t->dims; d++)
        put_int(head, 1, t->dim[d]);
    put_int(head, 2, t->type);
    put_string(head, 8, t->name);
    if (!is_external(o, t)) {
        put_length(head, 9, (uint64_t)bytes_of(t));
        return;
    }
    put_entry(head, "location", "model.onnx_data");
    snprintf(number, sizeof number, "%lld", (long long)t->offset);
    put_entry(head, "offset", number);
    snprintf(number, sizeof number, "%lld", (long long)bytes_of(t));
    put_entry(head, "length", number);
    put_int(head, 14, 1); /* data_location: EXTERNAL */
}

/* A tensor as a field of the graph up to its numbers. */
static void put_initializer(Text *out, const Out *o, const OnnxTensor *t)
{
    Text head = { 0 };
    put_tensor(&head, o, t);
    put_length(out, 5, head.size + (is_external(o, t) ? 0 : (uint64_t)bytes_of(t)));
    text_add(out, head.data, head.size);
    text_release(&head);
}

static uint64_t graph_size(const Out *o, const Text *name)
{
    uint64_t size = o->g->nodes.size + name->size + o->g->inputs.size + o->g->outputs.size;
    for (int i = 0; i < o->g->tensor_count; i++) {
        Text head = { 0 };
        put_initializer(&head, o, &o->g->tensors[i]);
        size += head.size + (is_external(o, &o->g->tensors[i]) ? 0 : (uint64_t)bytes_of(&o->g->tensors[i]));
        text_release(&head);
    }
    return size;
}

static bool write_graph(const Out *o, FILE *file, const Text *name, Err *err)
{
    bool ok = write_text(file, &o->g->nodes, err) && write_text(file, name, err);
    for (int i = 0; ok && i < o->g->tensor_count; i++) {
        const OnnxTensor *t = &o->g->tensors[i];
        Text head = { 0 };
        put_initializer(&head, o, t);
        ok = write_text(file, &head, err) && (is_external(o, t) || write_numbers(o, file, t, err));
        text_release(&head);
    }
    return ok && write_text(file, &o->g->inputs, err) && write_text(file, &o->g->outputs, err);
}

static bool write_model(const Out *o, FILE *file, Err *err)
{
    Text head = { 0 }, tail = { 0 }, name = { 0 }, opset = { 0 };
    put_string(&name, 2, "main_graph");
    put_int(&head, 1, IR_VERSION);
    put_string(&head, 2, "lora");
    const uint64_t size = graph_size(o, &name);
    put_length(&head, 7, size);
    put_string(&opset, 1, "");
    put_int(&opset, 2, OPSET);
    put_message(&tail, 8, &opset);
    bool ok = size < MOST || err_set(err, ERR_INPUT, "a file of ONNX stays below 2 GB");
    ok = ok && write_text(file, &head, err) && write_graph(o, file, &name, err) && write_text(file, &tail, err);
    text_release(&name);
    text_release(&tail);
    text_release(&head);
    return ok;
}

/* Each weight at a page of its own, so that a runtime may map it. */
static bool write_weights(const Out *o, FILE *file, Err *err)
{
    static const char zeros[PAGE] = { 0 };
    int64_t at = 0;
    for (int i = 0; i < o->g->tensor_count; i++) {
        OnnxTensor *t = &o->g->tensors[i];
        if (!is_external(o, t))
            continue;
        const int64_t gap = (PAGE - at % PAGE) % PAGE;
        t->offset = at + gap;
        if (fwrite(zeros, 1, (size_t)gap, file) != (size_t)gap)
            return err_errno(err, "cannot write");
        if (!write_numbers(o, file, t, err))
            return false;
        at = t->offset + bytes_of(t);
    }
    return true;
}

static bool write_file(const Out *o, const char *folder, const char *name,
                       bool (*write)(const Out *o, FILE *file, Err *err), Err *err)
{
    char *path = path_join(folder, name);
    FILE *file = file_begin(path, err);
    bool ok = file && write(o, file, err);
    if (ok) {
        ok = file_commit(file, path, err);
    } else if (file) {
        err_at(err, "%s", path);
        file_abandon(file, path);
    }
    free(path);
    return ok;
}

bool onnx_write(const char *folder, Onnx *g, int64_t external_above, OnnxMake make, void *self, Err *err)
{
    Out o = { .g = g, .make = make, .self = self };
    int64_t all = 0, most = 1;
    for (int i = 0; i < g->tensor_count; i++) {
        all += bytes_of(&g->tensors[i]);
        most = g->tensors[i].count > most ? g->tensors[i].count : most;
    }
    o.external = all > external_above;
    o.room = mem_alloc((size_t)most * sizeof *o.room, err);
    o.turned = mem_alloc((size_t)most * sizeof *o.turned, err);
    const bool ok = o.room && o.turned &&
                    (!o.external || write_file(&o, folder, "model.onnx_data", write_weights, err)) &&
                    write_file(&o, folder, "model.onnx", write_model, err);
    free(o.turned);
    free(o.room);
    return ok;
}
