/* render - a parsed template and its variables to text: the statements.
 *
 * Threads: any, a Rendering each. */
#ifndef WORKER_TEMPLATE_RENDER_H
#define WORKER_TEMPLATE_RENDER_H

#include "worker/template/rendering.h"

MUST_USE bool template_render(Rendering *r, const TemplateNode *tree);

#endif
