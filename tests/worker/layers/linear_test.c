#include "worker/layers/linear.h"

#include "common/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Three parts over one input: adapted, plain with a trained bias, adapted. */
enum { B = 2, N = 7, I = 10, O = 6, R0 = 3, R2 = 2, OUT = 3 * O, R = R0 + R2 };

/* Places in the flat buffer. */
enum {
    A0 = 0,
    B0 = A0 + R0 * I,
    BIAS1 = B0 + O * R0,
    A2 = BIAS1 + O,
    B2 = A2 + R2 * I,
    WHOLE1 = B2 + O * R2,
    MAGNITUDE0 = WHOLE1 + O * I,
    MAGNITUDE2 = MAGNITUDE0 + O,
    LORA_BIAS0 = MAGNITUDE2 + O,
    LORA_BIAS2 = LORA_BIAS0 + O,
    SIZE = LORA_BIAS2 + O
};

/* What a fixture is besides three parts with LoRA. */
typedef struct Form {
    bool whole; /* the second is trained whole */
    bool magnitude, lora_bias; /* of the first and the last */
    double dropout;
} Form;

static const int64_t start[B + 1] = { 0, 3, N };
static const int64_t first_start[B + 1] = { 0, 1, 2 };
static const int64_t example[B] = { 31, 8 };
static const Rows rows = { .B = B, .N = N, .longest = 4, .start = start };

typedef struct Fixture {
    float weight[OUT * I], bias[OUT], values[SIZE], grad[SIZE];
    float x[N * I], dy[N * OUT];
    Linear linear;
    LinearKeep keep;
    Pass pass;
    Arena arena;
} Fixture;

static void fill(float *x, int64_t n, uint32_t stream)
{
    rng_normal(x, n, 0.5f, rng_key(1, 0, 0, stream));
}

static ModuleView part_of(const Fixture *f, int part, const Form *form)
{
    ModuleView m = { .out = O,
                     .in = I,
                     .weight = frozen_of_floats(f->weight + part * O * I, O, I),
                     .bias = f->bias + part * O,
                     .weight_at = -1,
                     .bias_at = -1,
                     .a_at = -1,
                     .b_at = -1,
                     .lora_bias_at = -1,
                     .magnitude_at = -1,
                     .tokens_at = -1,
                     .scale = 1.5f };
    if (part == 0)
        m.R = R0, m.a_at = A0, m.b_at = B0;
    if (part == 1)
        m.bias_at = BIAS1, m.weight_at = form->whole ? WHOLE1 : -1;
    if (part == 2)
        m.R = R2, m.a_at = A2, m.b_at = B2;
    if (part != 1 && form->magnitude)
        m.magnitude_at = part == 0 ? MAGNITUDE0 : MAGNITUDE2;
    if (part != 1 && form->lora_bias)
        m.lora_bias_at = part == 0 ? LORA_BIAS0 : LORA_BIAS2;
    return m;
}

static void lay_out(Fixture *f, Layout *layout)
{
    PassSizes sizes = { .most_tokens = N, .most_sequences = B, .longest = 4, .C = I, .H = 1, .wide = OUT };
    linear_measure(&f->linear, true, &sizes);
    pass_layout(&f->pass, layout, &sizes);
    linear_layout(&f->linear, layout);
    linear_keep_layout(&f->keep, &f->linear, layout, N);
}

static void open_form(Fixture *f, const Form *form)
{
    memset(f, 0, sizeof *f);
    fill(f->weight, OUT * I, 1);
    fill(f->bias, OUT, 2);
    fill(f->values, SIZE, 3);
    fill(f->x, N * I, 4);
    fill(f->dy, N * OUT, 5);
    for (int part = 0; part < 3; part++) {
        const ModuleView module = part_of(f, part, form);
        linear_add(&f->linear, &module, (Site)(SITE_LORA_Q + part));
    }
    f->linear.dropout = form->dropout;
    Layout count = { 0 };
    lay_out(f, &count);
    Err err = { 0 };
    assert_true(arena_init(&f->arena, count.bytes, &err));
    Layout layout = { .arena = &f->arena };
    lay_out(f, &layout);
    assert_int_equal(f->arena.used, f->arena.size);
    f->pass.rows = rows;
    f->pass.reads = (Rows){ .B = B, .N = B, .longest = 1, .start = first_start };
    f->pass.example = example;
    f->pass.values = f->values;
    f->pass.grad = f->grad;
    f->pass.drop = form->dropout > 0;
    linear_bind(&f->linear, f->values);
}

static void open_fixture(Fixture *f, bool whole, double dropout)
{
    open_form(f, &(Form){ .whole = whole, .dropout = dropout });
}

/* What PEFT's dropout of this part makes of x: element (n, i) by hand. */
static double dropped(const Fixture *f, int part, int n, int i)
{
    if (!f->pass.drop)
        return (double)f->x[n * I + i];
    const int b = n < start[1] ? 0 : 1;
    const RngKey key = rng_key(0, 0, example[b], (uint32_t)(SITE_LORA_Q + part));
    const float p = (float)f->linear.dropout;
    const uint32_t at = (uint32_t)((n - start[b]) * I + i);
    return rng_bits(key, at) < rng_threshold(p) ? 0 : (double)f->x[n * I + i] / (1 - (double)p);
}

/* scale B A of a part, or what stands for it: element (o, i). */
static double delta(const Fixture *f, int part, int o, int i)
{
    const ModuleView *m = &f->linear.part[part].module;
    double sum = 0;
    for (int64_t r = 0; r < m->R; r++)
        sum += (double)f->values[m->b_at + o * m->R + r] * (double)f->values[m->a_at + r * I + i];
    return (double)m->scale * sum;
}

static double weight_at(const Fixture *f, int part, int o, int i)
{
    const ModuleView *m = &f->linear.part[part].module;
    return (double)module_floats(m, f->values)[o * I + i];
}

/* |(W + scale B A)_o| */
static double length(const Fixture *f, int part, int o)
{
    double sum = 0;
    for (int i = 0; i < I; i++)
        sum += pow(weight_at(f, part, o, i) + delta(f, part, o, i), 2);
    return sqrt(sum);
}

/* m / n; 1: there is no magnitude */
static double c_of(const Fixture *f, int part, int o)
{
    const int64_t at = f->linear.part[part].module.magnitude_at;
    return at < 0 ? 1 : (double)f->values[at + o] / length(f, part, o);
}

static double bias_of(const Fixture *f, int part, int o)
{
    const ModuleView *m = &f->linear.part[part].module;
    const double of_b = m->lora_bias_at < 0 ? 0 : (double)f->values[m->lora_bias_at + o];
    return (double)module_bias(m, f->values)[o] + (double)m->scale * of_b;
}

/* What dropout(x) is multiplied with: (c - 1) W + c scale B A */
static double dropped_weight(const Fixture *f, int part, int o, int i)
{
    const double c = c_of(f, part, o);
    return (c - 1) * weight_at(f, part, o, i) + c * delta(f, part, o, i);
}

static void check_forward(Fixture *f)
{
    float y[N * OUT];
    linear_forward(&f->linear, &f->keep, y, OUT, f->x, &rows, &f->pass);
    linear_add_bias(&f->linear, y, OUT, N);
    for (int n = 0; n < N; n++)
        for (int part = 0; part < 3; part++)
            for (int o = 0; o < O; o++) {
                double sum = bias_of(f, part, o);
                for (int i = 0; i < I; i++)
                    sum += (double)f->x[n * I + i] * weight_at(f, part, o, i) +
                           dropped(f, part, n, i) * dropped_weight(f, part, o, i);
                assert_float_equal(y[n * OUT + part * O + o], sum, 1e-5);
            }
}

/* dx[n,i] = sum_o dy (W + mask ((c - 1) W + c scale B A)): dropped(x)/x is the mask. */
static void check_dx(const Fixture *f, const float *dx, const float *before)
{
    for (int n = 0; n < N; n++)
        for (int i = 0; i < I; i++) {
            double sum = (double)before[n * I + i];
            for (int part = 0; part < 3; part++) {
                const double mask = dropped(f, part, n, i) / (double)f->x[n * I + i];
                for (int o = 0; o < O; o++)
                    sum += (double)f->dy[n * OUT + part * O + o] *
                           (weight_at(f, part, o, i) + mask * dropped_weight(f, part, o, i));
            }
            assert_float_equal(dx[n * I + i], sum, 1e-5);
        }
}

/* dA[r,i] = scale sum_n,o c dy B x';  dB[o,r] = scale sum_n c dy (x' A^T) */
static void check_lora_gradients(const Fixture *f, int part)
{
    const ModuleView *m = &f->linear.part[part].module;
    for (int64_t r = 0; r < m->R; r++)
        for (int i = 0; i < I; i++) {
            double sum = 0;
            for (int n = 0; n < N; n++)
                for (int o = 0; o < O; o++)
                    sum += c_of(f, part, o) * (double)f->dy[n * OUT + part * O + o] * dropped(f, part, n, i) *
                           (double)f->values[m->b_at + o * m->R + r];
            assert_float_equal(f->grad[m->a_at + r * I + i], (double)m->scale * sum, 1e-5);
        }
    for (int o = 0; o < O; o++)
        for (int64_t r = 0; r < m->R; r++) {
            double sum = 0;
            for (int n = 0; n < N; n++)
                for (int i = 0; i < I; i++)
                    sum += c_of(f, part, o) * (double)f->dy[n * OUT + part * O + o] * dropped(f, part, n, i) *
                           (double)f->values[m->a_at + r * I + i];
            assert_float_equal(f->grad[m->b_at + o * m->R + r], (double)m->scale * sum, 1e-5);
        }
}

/* dm[o] = sum_n dy z / n with z = dropout(x) (W + scale B A)^T;  of B's bias: scale sum_n dy */
static void check_extra_gradients(const Fixture *f, int part)
{
    const ModuleView *m = &f->linear.part[part].module;
    for (int o = 0; o < O; o++) {
        double magnitude = 0, bias = 0;
        for (int n = 0; n < N; n++) {
            const double dy = (double)f->dy[n * OUT + part * O + o];
            bias += (double)m->scale * dy;
            for (int i = 0; i < I; i++)
                magnitude += dy * dropped(f, part, n, i) * (weight_at(f, part, o, i) + delta(f, part, o, i));
        }
        if (m->magnitude_at >= 0)
            assert_float_equal(f->grad[m->magnitude_at + o], magnitude / length(f, part, o), 1e-5);
        if (m->lora_bias_at >= 0)
            assert_float_equal(f->grad[m->lora_bias_at + o], bias, 1e-5);
    }
}

static void check_base_gradients(const Fixture *f, bool whole)
{
    for (int o = 0; o < O; o++) {
        double bias = 0;
        for (int n = 0; n < N; n++)
            bias += (double)f->dy[n * OUT + O + o];
        assert_float_equal(f->grad[BIAS1 + o], bias, 1e-5);
        for (int i = 0; whole && i < I; i++) {
            double sum = 0;
            for (int n = 0; n < N; n++)
                sum += (double)f->dy[n * OUT + O + o] * (double)f->x[n * I + i];
            assert_float_equal(f->grad[WHOLE1 + o * I + i], sum, 1e-5);
        }
    }
}

static void check_form(const Form *form)
{
    Fixture f;
    open_form(&f, form);
    check_forward(&f);
    float dx[N * I], before[N * I];
    fill(before, N * I, 6);
    memcpy(dx, before, sizeof dx);
    const LinearGrad grad = { .dy = f.dy, .ldy = OUT, .x = f.x, .dx = dx, .beta = 1 };
    linear_backward(&f.linear, &f.keep, &grad, &rows, &f.pass);
    check_dx(&f, dx, before);
    check_lora_gradients(&f, 0);
    check_lora_gradients(&f, 2);
    check_extra_gradients(&f, 0);
    check_extra_gradients(&f, 2);
    check_base_gradients(&f, form->whole);
    arena_release(&f.arena);
}

static void check_all(bool whole, double dropout)
{
    check_form(&(Form){ .whole = whole, .dropout = dropout });
}

static void three_parts_are_three_modules_of_peft(void **state)
{
    (void)state;
    check_all(false, 0);
}

static void a_part_may_be_trained_whole(void **state)
{
    (void)state;
    check_all(true, 0);
}

static void every_module_has_a_mask_of_its_own(void **state)
{
    (void)state;
    check_all(false, 0.4);
    check_all(true, 0.4);
    Fixture f;
    open_fixture(&f, false, 0.4);
    int differ = 0;
    for (int n = 0; n < N; n++)
        for (int i = 0; i < I; i++)
            differ += dropped(&f, 0, n, i) != dropped(&f, 2, n, i);
    assert_true(differ > 0);
    arena_release(&f.arena);
}

static void a_magnitude_takes_the_place_of_the_length_of_a_row(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        check_form(&(Form){ .magnitude = true, .whole = whole });
        check_form(&(Form){ .magnitude = true, .whole = whole, .dropout = 0.4 });
    }
}

static void a_bias_of_b_is_scaled_with_b(void **state)
{
    (void)state;
    check_form(&(Form){ .lora_bias = true });
    check_form(&(Form){ .lora_bias = true, .dropout = 0.4 });
}

/* Lengths are found anew when A or B moved, at whatever address they lie. */
static void lengths_follow_the_values(void **state)
{
    (void)state;
    Fixture f;
    open_form(&f, &(Form){ .magnitude = true });
    const int moved[] = { A0 + 4, B2 + 1, MAGNITUDE0 + 2 };
    for (int i = 0; i < 3; i++) {
        f.values[moved[i]] += 1;
        linear_bind(&f.linear, f.values);
        check_forward(&f);
    }
    arena_release(&f.arena);
}

/* Parts of it as a linear of their own have their magnitudes and biases. */
static void slices_have_their_parts(void **state)
{
    (void)state;
    for (int lora_bias = 0; lora_bias < 2; lora_bias++) {
        Fixture f;
        float y[N * OUT], part[N * OUT];
        open_form(&f, &(Form){ .magnitude = !lora_bias, .lora_bias = lora_bias });
        linear_forward(&f.linear, NULL, y, OUT, f.x, &rows, &f.pass);
        linear_add_bias(&f.linear, y, OUT, N);
        const Linear slice = linear_slice(&f.linear, 1, 2);
        linear_forward(&slice, NULL, part, 2 * O, f.x, &rows, &f.pass);
        linear_add_bias(&slice, part, 2 * O, N);
        for (int n = 0; n < N; n++)
            for (int o = 0; o < 2 * O; o++)
                assert_float_equal(part[n * 2 * O + o], y[n * OUT + O + o], 1e-5);
        arena_release(&f.arena);
    }
}

static void the_gradient_of_the_input_may_take_the_place_of_the_input(void **state)
{
    (void)state;
    Fixture f;
    open_fixture(&f, false, 0);
    float apart[N * I], grad[SIZE], y[N * OUT];
    linear_forward(&f.linear, &f.keep, y, OUT, f.x, &rows, &f.pass);
    LinearGrad g = { .dy = f.dy, .ldy = OUT, .x = f.x, .dx = apart };
    linear_backward(&f.linear, &f.keep, &g, &rows, &f.pass);
    memcpy(grad, f.grad, sizeof grad);
    g.dx = f.x;
    linear_backward(&f.linear, &f.keep, &g, &rows, &f.pass);
    assert_memory_equal(f.x, apart, sizeof apart);
    assert_memory_equal(f.grad + A0, grad + A0, (BIAS1 - A0) * sizeof(float));
    arena_release(&f.arena);
}

static void without_values_it_is_the_frozen_product(void **state)
{
    (void)state;
    Fixture f;
    open_fixture(&f, true, 0);
    f.pass.values = NULL;
    f.pass.grad = NULL;
    linear_bind(&f.linear, NULL);
    float y[N * OUT];
    linear_forward(&f.linear, &f.keep, y, OUT, f.x, &rows, &f.pass);
    linear_add_bias(&f.linear, y, OUT, N);
    for (int n = 0; n < N; n++)
        for (int o = 0; o < OUT; o++) {
            double sum = (double)f.bias[o];
            for (int i = 0; i < I; i++)
                sum += (double)f.x[n * I + i] * (double)f.weight[o * I + i];
            assert_float_equal(y[n * OUT + o], sum, 1e-5);
        }
    arena_release(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_parts_are_three_modules_of_peft),
        cmocka_unit_test(a_part_may_be_trained_whole),
        cmocka_unit_test(every_module_has_a_mask_of_its_own),
        cmocka_unit_test(a_magnitude_takes_the_place_of_the_length_of_a_row),
        cmocka_unit_test(a_bias_of_b_is_scaled_with_b),
        cmocka_unit_test(lengths_follow_the_values),
        cmocka_unit_test(slices_have_their_parts),
        cmocka_unit_test(the_gradient_of_the_input_may_take_the_place_of_the_input),
        cmocka_unit_test(without_values_it_is_the_frozen_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
