#include "common/plot/chart.h"

#include "common/plot/picture.h"
#include "common/plot/svg.h"

#include <math.h>

static double x_of(const ChartField *f, int at)
{
    return SVG_LEFT + (at + 0.5) / f->value_count * (SVG_WIDTH - SVG_LEFT - SVG_RIGHT);
}

static SvgScale scale_of(const ChartField *f, int top)
{
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < f->count; i++) {
        least = fmin(least, f->points[i].low);
        most = fmax(most, f->points[i].high);
    }
    return svg_scale(least, most, top);
}

static void draw_values(Text *out, const ChartField *f, const SvgScale *s)
{
    for (int i = 0; i < f->value_count; i++) {
        text_addf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x_of(f, i),
                  s->top + SVG_HEIGHT - SVG_BOTTOM + 18);
        svg_escaped(out, f->values[i]);
        text_adds(out, "</text>\n");
    }
}

static void draw_line(Text *out, const ChartField *f, const SvgScale *s)
{
    int n = 0;
    for (int at = 0; at < f->value_count; at++) {
        double best = NAN;
        for (int i = 0; i < f->count; i++)
            if (f->points[i].at == at && !(f->less ? f->points[i].y >= best : f->points[i].y <= best))
                best = f->points[i].y;
        if (isnan(best))
            continue;
        text_adds(out, n++ == 0 ? "<polyline points=\"" : " ");
        text_addf(out, "%.1f,%.1f", x_of(f, at), svg_y(s, best));
    }
    if (n > 0)
        text_addf(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", picture_colours[0]);
}

static void draw_point(Text *out, const ChartField *f, const SvgScale *s, const ChartPoint *p)
{
    const char *colour = picture_colours[p->marked ? 1 : 0];
    const double x = x_of(f, p->at);
    if (p->high > p->low)
        text_addf(out, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\"/>\n", x, svg_y(s, p->low), svg_y(s, p->high), colour);
    text_addf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"/>\n", x, svg_y(s, p->y),
              p->marked ? "5" : "3.5", colour);
}

bool chart_draw(Text *svg, const ChartField *fields, int count)
{
    int shown = 0;
    Text inside = { 0 };
    for (int i = 0; i < count; i++) {
        const ChartField *f = &fields[i];
        if (f->count == 0)
            continue;
        const SvgScale s = scale_of(f, shown++ * SVG_HEIGHT);
        svg_axes(&inside, &s, f->setting);
        text_addf(&inside, "<text x=\"%d\" y=\"%d\">", SVG_LEFT, s.top + 18);
        svg_escaped(&inside, f->figure);
        text_adds(&inside, "</text>\n");
        draw_values(&inside, f, &s);
        if (f->line)
            draw_line(&inside, f, &s);
        for (int k = 0; k < f->count; k++)
            draw_point(&inside, f, &s, &f->points[k]);
    }
    if (shown > 0)
        svg_page(svg, shown, &inside);
    text_release(&inside);
    return shown > 0;
}
