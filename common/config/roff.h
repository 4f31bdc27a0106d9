/* roff - the few requests of man(7) that the manual pages need, with texts escaped.
 *
 * Threads: any. */
#ifndef COMMON_CONFIG_ROFF_H
#define COMMON_CONFIG_ROFF_H

#include "common/base/text.h"

/* Title, section and NAME: "lora_ps", 1, "the parameter server of a run". */
void roff_page(Text *out, const char *name, int section, const char *summary);

void roff_section(Text *out, const char *title); /* .SH */
void roff_subsection(Text *out, const char *title); /* .SS */

/* A paragraph; a line that begins with two blanks stands as it is. */
void roff_paragraph(Text *out, const char *text);

/* A term in bold, and its text. */
void roff_item(Text *out, const char *term, const char *text);

/* EXIT STATUS of the programs, and SEE ALSO of all pages but `name`. */
void roff_exit_codes(Text *out);
void roff_see_also(Text *out, const char *name);

#endif
