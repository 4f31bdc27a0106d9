#include "common/plot/picture.h"

#include "common/base/mem.h"
#include "common/plot/svg.h"

#include <math.h>
#include <string.h>

enum { TICKS = 5, LETTER = 7 };

const char *const picture_colours[8] = { "#1f5fa8", "#c4501b", "#2c7a4b", "#7a4aa8",
                                         "#a8811f", "#1f8fa8", "#a81f5f", "#555555" };

typedef struct Frame {
    double most_step;
    SvgScale scale;
    int points;
} Frame;

/* False: the entry has no such figure. */
static bool point(const json_t *entry, const char *key, double *step, double *value)
{
    const json_t *figure = json_object_get(entry, key);
    *step = json_number_value(json_object_get(entry, "step"));
    *value = json_number_value(figure);
    return json_is_number(figure) && isfinite(*value);
}

static int count_points(const PictureLine *line)
{
    double step, value;
    int count = 0;
    for (size_t i = 0; i < json_array_size(line->history); i++)
        count += point(json_array_get(line->history, i), line->key, &step, &value);
    return count;
}

static void widen(Frame *f, const PictureLine *line)
{
    double step, value;
    for (size_t i = 0; i < json_array_size(line->history); i++) {
        if (!point(json_array_get(line->history, i), line->key, &step, &value))
            continue;
        f->points++;
        f->most_step = fmax(f->most_step, step);
        f->scale.least = fmin(f->scale.least, value);
        f->scale.most = fmax(f->scale.most, value);
    }
}

static Frame frame_of(const PictureField *field, int top)
{
    Frame f = { 1, { INFINITY, -INFINITY, top }, 0 };
    for (int i = 0; i < field->count; i++)
        widen(&f, &field->lines[i]);
    if (f.points > 0)
        f.scale = svg_scale(f.scale.least, f.scale.most, top);
    return f;
}

static double x_of(const Frame *f, double step)
{
    return SVG_LEFT + step / f->most_step * (SVG_WIDTH - SVG_LEFT - SVG_RIGHT);
}

static void draw_axes(Text *svg, const Frame *f)
{
    for (int i = 0; i <= TICKS; i++) {
        const double step = f->most_step * i / TICKS;
        text_addf(svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x_of(f, step),
                  f->scale.top + SVG_HEIGHT - SVG_BOTTOM + 18, step);
    }
    svg_axes(svg, &f->scale, "step");
}

static void draw_line(Text *svg, const Frame *f, const PictureLine *line)
{
    double step, value;
    int count = 0;
    for (size_t i = 0; i < json_array_size(line->history); i++) {
        if (!point(json_array_get(line->history, i), line->key, &step, &value))
            continue;
        text_adds(svg, count++ == 0 ? "<polyline points=\"" : " ");
        text_addf(svg, "%.1f,%.1f", x_of(f, step), svg_y(&f->scale, value));
    }
    if (count > 0)
        text_addf(svg, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"/>\n", line->colour,
                  line->dots ? "2.5" : "1.5");
    for (size_t i = 0; line->dots && i < json_array_size(line->history); i++)
        if (point(json_array_get(line->history, i), line->key, &step, &value))
            text_addf(svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n", x_of(f, step),
                      svg_y(&f->scale, value), line->colour);
}

static void draw_names(Text *svg, const Frame *f, const PictureField *field)
{
    int x = SVG_LEFT;
    for (int i = 0; i < field->count; i++) {
        const PictureLine *line = &field->lines[i];
        if (count_points(line) == 0)
            continue;
        text_addf(svg, "<text x=\"%d\" y=\"%d\" fill=\"%s\">", x, f->scale.top + 18, line->colour);
        svg_escaped(svg, line->label);
        text_adds(svg, "</text>\n");
        x += LETTER * (int)strlen(line->label) + 18;
    }
}

bool picture_draw(Text *svg, const PictureField *fields, int count)
{
    int shown = 0;
    Text inside = { 0 };
    for (int i = 0; i < count; i++) {
        const Frame f = frame_of(&fields[i], shown * SVG_HEIGHT);
        if (f.points == 0)
            continue;
        shown++;
        draw_axes(&inside, &f);
        for (int k = 0; k < fields[i].count; k++)
            draw_line(&inside, &f, &fields[i].lines[k]);
        draw_names(&inside, &f, &fields[i]);
    }
    if (shown > 0)
        svg_page(svg, shown, &inside);
    text_release(&inside);
    return shown > 0;
}

bool picture_loss(Text *svg, const json_t *history)
{
    const PictureLine lines[] = {
        { history, "loss", "training loss", picture_colours[0], false },
        { history, "eval_loss", "evaluation loss", picture_colours[1], true },
    };
    return count_points(&lines[0]) >= 2 && picture_draw(svg, &(PictureField){ lines, LENGTH(lines) }, 1);
}
