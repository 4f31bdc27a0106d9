/* svg - what all pictures have in common: a page of fields below each other, axes, words.
 *
 * Threads: any. */
#ifndef COMMON_PLOT_SVG_H
#define COMMON_PLOT_SVG_H

#include "common/base/text.h"

/* Of a field, and of what is inside its axes. */
enum { SVG_WIDTH = 720, SVG_HEIGHT = 360, SVG_LEFT = 64, SVG_RIGHT = 16, SVG_TOP = 28, SVG_BOTTOM = 44 };

/* From `least` to `most`, of the field that begins at `top`. */
typedef struct SvgScale {
    double least, most;
    int top;
} SvgScale;

/* A little room where all values are one. */
SvgScale svg_scale(double least, double most, int top);
double svg_y(const SvgScale *scale, double value);

/* Lines across with their values, and the two axes; words below the lower one. */
void svg_axes(Text *out, const SvgScale *scale, const char *below);

void svg_escaped(Text *out, const char *text); /* as XML has it */

/* The page around `inside`: so many fields. */
void svg_page(Text *out, int fields, const Text *inside);

#endif
