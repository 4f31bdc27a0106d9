#include "ps/picture.h"

#include <math.h>

/* Of the whole, and of the field inside the axes. */
enum { WIDTH = 720, HEIGHT = 360, LEFT = 64, RIGHT = 16, TOP = 28, BOTTOM = 44, TICKS = 5 };

typedef struct Frame {
    double most_step, least, most; /* of the losses */
    int losses;
} Frame;

static const char *const keys[] = { "loss", "eval_loss" };
static const char *const colours[] = { "#1f5fa8", "#c4501b" };
static const char *const labels[] = { "training", "evaluation" };

/* False: the entry has no such figure. */
static bool point(const json_t *entry, const char *key, double *step, double *loss)
{
    const json_t *value = json_object_get(entry, key);
    *step = json_number_value(json_object_get(entry, "step"));
    *loss = json_number_value(value);
    return json_is_number(value) && isfinite(*loss);
}

static Frame frame_of(const json_t *history)
{
    Frame f = { 1, INFINITY, -INFINITY, 0 };
    double step, loss;
    for (size_t i = 0; i < json_array_size(history); i++) {
        for (int k = 0; k < 2; k++) {
            if (!point(json_array_get(history, i), keys[k], &step, &loss))
                continue;
            f.losses += k == 0;
            f.most_step = fmax(f.most_step, step);
            f.least = fmin(f.least, loss);
            f.most = fmax(f.most, loss);
        }
    }
    if (f.most - f.least < 1e-6) {
        f.least -= 0.5;
        f.most += 0.5;
    }
    return f;
}

static double x_of(const Frame *f, double step)
{
    return LEFT + step / f->most_step * (WIDTH - LEFT - RIGHT);
}

static double y_of(const Frame *f, double loss)
{
    return TOP + (f->most - loss) / (f->most - f->least) * (HEIGHT - TOP - BOTTOM);
}

static void draw_axes(Text *svg, const Frame *f)
{
    for (int i = 0; i <= TICKS; i++) {
        const double loss = f->least + (f->most - f->least) * i / TICKS, step = f->most_step * i / TICKS;
        const double x = x_of(f, step), y = y_of(f, loss);
        text_addf(svg, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>", LEFT, y, WIDTH - RIGHT);
        text_addf(svg, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>", LEFT - 8, y + 4, loss);
        text_addf(svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x, HEIGHT - BOTTOM + 18, step);
    }
    text_addf(svg, "<path d=\"M%d %dV%dH%d\" stroke=\"#333\" fill=\"none\"/>\n", LEFT, TOP, HEIGHT - BOTTOM,
              WIDTH - RIGHT);
    text_addf(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n", (LEFT + WIDTH - RIGHT) / 2,
              HEIGHT - 8);
}

/* False: there is nothing of this kind. */
static bool draw_line(Text *svg, const Frame *f, const json_t *history, int kind)
{
    double step, loss;
    int count = 0;
    for (size_t i = 0; i < json_array_size(history); i++) {
        if (!point(json_array_get(history, i), keys[kind], &step, &loss))
            continue;
        text_adds(svg, count++ == 0 ? "<polyline points=\"" : " ");
        text_addf(svg, "%.1f,%.1f", x_of(f, step), y_of(f, loss));
    }
    if (count > 0)
        text_addf(svg, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"/>\n", colours[kind], kind ? "2.5" : "1.5");
    for (size_t i = 0; kind == 1 && i < json_array_size(history); i++)
        if (point(json_array_get(history, i), keys[kind], &step, &loss))
            text_addf(svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n", x_of(f, step), y_of(f, loss),
                      colours[kind]);
    return count > 0;
}

bool picture_loss(Text *svg, const json_t *history)
{
    const Frame f = frame_of(history);
    if (f.losses < 2)
        return false;
    text_addf(svg,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
              "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
              WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_axes(svg, &f);
    for (int kind = 0, at = LEFT; kind < 2; kind++) {
        if (!draw_line(svg, &f, history, kind))
            continue;
        text_addf(svg, "<text x=\"%d\" y=\"18\" fill=\"%s\">%s loss</text>\n", at, colours[kind], labels[kind]);
        at += 110;
    }
    text_adds(svg, "</svg>\n");
    return true;
}
