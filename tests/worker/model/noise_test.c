/* NEFTune: uniform noise on the words' rows, in training alone, a function of the sequence and not of its company. */
#include "tests/support/model_case.h"
#include "worker/model/model_parts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SEQUENCES = 6 };

/* out[N, C]: the stream behind the embedding of gpt2-clm, which has no norm there. */
static void embed(const Subject *s, const Packed *p, double alpha, bool training, float *out)
{
    Model *model = open_subject_model(s, p, 0);
    Pass *pass = model->pass;
    model->embedding.noise = alpha;
    model_begin(model, &p->batch, s->c.values, false);
    pass->drop = training;
    pass->seed = 3;
    pass->step = 5;
    const EmbeddingInput input = { .ids = p->batch.ids };
    embedding_forward(&model->embedding, NULL, &input, pass);
    memcpy(out, pass->r, (size_t)(p->batch.N * s->c.arch->C) * sizeof *out);
    model_close(model);
}

static void noise_is_uniform_and_of_the_sequence(void **state)
{
    (void)state;
    enum { MOST = SEQUENCES * 64 * 64 };
    static float still[MOST], noisy[MOST], alone[MOST];
    Subject *s = open_subject(golden_index("gpt2-clm"));
    Packed p = pack(s, &s->train, NULL, SEQUENCES);
    const int64_t C = s->c.arch->C;
    assert_true(p.batch.N * C <= MOST);
    embed(s, &p, 0, true, still);
    embed(s, &p, 5, true, noisy);
    for (int b = 0; b < SEQUENCES; b++) {
        const int64_t T = p.start[b + 1] - p.start[b], from = p.start[b] * C;
        const double most = 5 / sqrt((double)(T * C));
        double sum = 0, largest = 0;
        for (int64_t i = from; i < from + T * C; i++) {
            const double noise = (double)noisy[i] - (double)still[i];
            sum += noise;
            largest = fmax(largest, fabs(noise));
        }
        assert_true(largest <= most * 1.0001 && largest > 0.95 * most);
        assert_true(fabs(sum / (double)(T * C)) < 0.2 * most);
        Packed one = pack(s, &s->train, &b, 1);
        one.example[0] = b;
        embed(s, &one, 5, true, alone);
        assert_memory_equal(alone, noisy + from, (size_t)(T * C) * sizeof *alone);
        unpack(&one);
    }
    embed(s, &p, 5, false, noisy);
    assert_memory_equal(noisy, still, (size_t)(p.batch.N * C) * sizeof *noisy);
    unpack(&p);
    close_subject(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(noise_is_uniform_and_of_the_sequence) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
