#include "common/plot/svg.h"

enum { TICKS = 5 };

SvgScale svg_scale(double least, double most, int top)
{
    const bool one = most - least < 1e-6;
    return (SvgScale){ one ? least - 0.5 : least, one ? most + 0.5 : most, top };
}

double svg_y(const SvgScale *s, double value)
{
    return s->top + SVG_TOP + (s->most - value) / (s->most - s->least) * (SVG_HEIGHT - SVG_TOP - SVG_BOTTOM);
}

void svg_axes(Text *out, const SvgScale *s, const char *below)
{
    for (int i = 0; i <= TICKS; i++) {
        const double value = s->least + (s->most - s->least) * i / TICKS, y = svg_y(s, value);
        text_addf(out, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>", SVG_LEFT, y, SVG_WIDTH - SVG_RIGHT);
        text_addf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", SVG_LEFT - 8, y + 4, value);
    }
    text_addf(out, "<path d=\"M%d %dV%dH%d\" stroke=\"#333\" fill=\"none\"/>\n", SVG_LEFT, s->top + SVG_TOP,
              s->top + SVG_HEIGHT - SVG_BOTTOM, SVG_WIDTH - SVG_RIGHT);
    text_addf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (SVG_LEFT + SVG_WIDTH - SVG_RIGHT) / 2,
              s->top + SVG_HEIGHT - 8);
    svg_escaped(out, below);
    text_adds(out, "</text>\n");
}

void svg_escaped(Text *out, const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<' ? "&lt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
        if (as)
            text_adds(out, as);
        else if ((unsigned char)*text >= ' ')
            text_add(out, text, 1);
    }
}

void svg_page(Text *out, int fields, const Text *inside)
{
    text_addf(out,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
              "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n"
              "%s</svg>\n",
              SVG_WIDTH, fields * SVG_HEIGHT, SVG_WIDTH, fields * SVG_HEIGHT, SVG_WIDTH, fields * SVG_HEIGHT,
              inside->data ? inside->data : "");
}
