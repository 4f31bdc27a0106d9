/* Two micro-batches between forward and backward at a time, each with a keep of its own; and blocks whose last
 * sum is not one kernel with the next one's norm: gradients are, to the bit, those of model_train as it is. */
#include "common/base/mem.h"
#include "tests/support/model_case.h"
#include "tests/support/slopes.h"
#include "worker/kernels/levels.h"
#include "worker/model/encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEP = 6, BIG = 7, SMALL = 2 };

/* A micro-batch on its way. */
typedef struct Flight {
    Packed p;
    Batch own; /* the part of it that the head reads */
    Keep keep;
    float *dx; /* the gradient of its hidden rows */
    float *grad;
} Flight;

static void begin(Subject *s, Model *model, Flight *f)
{
    Pass *pass = model->pass;
    f->own = *encoder_part(model, &f->p.batch);
    model_begin(model, &f->own, s->c.values, false);
    pass->drop = true;
    pass->seed = model->options.seed;
    pass->step = STEP;
    pass->grad = f->grad;
}

static ModelInput input_of(const Flight *f)
{
    const Batch *b = &f->own;
    return (ModelInput){ .embedding = { .ids = b->ids, .types = b->types, .pixels = b->pixels } };
}

static size_t hidden_bytes(const Model *model)
{
    return (size_t)(model->options.most_tokens * model->arch->C) * sizeof(float);
}

static void up(Subject *s, Model *model, Flight *f)
{
    BatchLoss loss;
    begin(s, model, f);
    const ModelInput input = input_of(f);
    model_up(model, &f->keep, &input);
    if (model->speaks) {
        loss = vocab_head_loss(&model->vocab_head, f->own.token_goal, model->pass);
    } else {
        head_forward(&model->head, &f->keep.head, model->pass);
        loss = head_loss(&model->head, &f->keep.head, f->own.goal, f->own.token_goal, model->pass);
        head_backward(&model->head, &f->keep.head, model->pass);
    }
    assert_true(loss.count > 0);
    memcpy(f->dx, model->pass->x, hidden_bytes(model));
}

static void down(Subject *s, Model *model, Flight *f)
{
    begin(s, model, f);
    const ModelInput input = input_of(f);
    memcpy(model->pass->x, f->dx, hidden_bytes(model));
    model_down(model, &f->keep, &input);
}

static Flight take_off(Subject *s, const Model *model, const Set *set, int B)
{
    Err err = { 0 };
    Flight f = { .p = pack(s, set, NULL, B) };
    must(keep_init(&f.keep, model, &err), &err);
    f.dx = xcalloc(1, hidden_bytes(model));
    f.grad = xcalloc((size_t)s->c.table->size, sizeof *f.grad);
    return f;
}

static void land(Subject *s, Model *model, Flight *f)
{
    const size_t bytes = (size_t)s->c.table->size * sizeof(float);
    float *wanted = xmalloc(bytes);
    model_train(model, &f->p.batch, s->c.values, wanted, STEP);
    assert_memory_equal(f->grad, wanted, bytes);
    unpack(&f->p);
    keep_release(&f->keep);
    free(f->dx);
    free(f->grad);
    free(wanted);
}

static void two_are_on_their_way(void **state)
{
    Subject *s = open_subject((int)(intptr_t)*state);
    s->c.arch->hidden_dropout = s->c.arch->attention_dropout = 0.2;
    stir_values(s->c.values, s->c.table);
    Packed most = pack(s, &s->train, NULL, BIG);
    Model *model = open_subject_model(s, &most, 0.1);
    Flight a = take_off(s, model, &s->train, BIG), b = take_off(s, model, &s->dev, SMALL);
    up(s, model, &a);
    up(s, model, &b);
    model->pass->grad = NULL;
    model_predict(model, &b.p.batch, s->c.values, NULL);
    down(s, model, &a);
    down(s, model, &b);
    model->pass->grad = NULL;
    land(s, model, &a);
    land(s, model, &b);
    model_close(model);
    unpack(&most);
    close_subject(s);
}

static void expect_sums_to_go_on_alone(Subject *s)
{
    const size_t bytes = (size_t)s->c.table->size * sizeof(float);
    float *joined = xmalloc(bytes), *apart = xmalloc(bytes);
    s->c.arch->hidden_dropout = 0.2;
    stir_values(s->c.values, s->c.table);
    Packed p = pack(s, &s->train, NULL, BIG);
    Model *model = open_subject_model(s, &p, 0.1);
    const double loss = model_train(model, &p.batch, s->c.values, joined, STEP).sum;
    model->apart = true;
    assert_true(model_train(model, &p.batch, s->c.values, apart, STEP).sum == loss);
    assert_memory_equal(apart, joined, bytes);
    model_close(model);
    unpack(&p);
    free(joined);
    free(apart);
}

/* As between two ranks that hold the blocks one behind the other: the sum goes over, and is normalised there. With the
 * kernels of every level: compilers add in other orders. */
static void sums_may_go_on_alone(void **state)
{
    const Kernels *before = kernels;
    for (int i = 0; i < level_count; i++) {
        if (!levels[i].fits())
            continue;
        levels_use(&levels[i]);
        Subject *s = open_subject((int)(intptr_t)*state);
        expect_sums_to_go_on_alone(s);
        close_subject(s);
    }
    for (int i = 0; i < level_count; i++)
        if (levels[i].kernels == before)
            levels_use(&levels[i]);
}

int main(void)
{
    struct CMUnitTest tests[2 * GOLDEN];
    for (int g = 0; g < GOLDEN; g++) {
        tests[GOLDEN + g] =
            (struct CMUnitTest){ golden[g].name, sums_may_go_on_alone, NULL, NULL, (void *)(intptr_t)g };
        tests[g] = (struct CMUnitTest){ golden[g].name, two_are_on_their_way, NULL, NULL, (void *)(intptr_t)g };
    }
    return _cmocka_run_group_tests("keep", tests, 2 * GOLDEN, NULL, NULL);
}
