#include "common/config/roff.h"

#include "common/base/version.h"

#include <ctype.h>
#include <string.h>

/* text[0,n): backslashes and hyphens as such, no request by a dot at the line's beginning. */
static void add(Text *out, const char *text, size_t n)
{
    const bool fresh = out->size == 0 || out->data[out->size - 1] == '\n';
    if (fresh && n > 0 && (text[0] == '.' || text[0] == '\''))
        text_adds(out, "\\&");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\\')
            text_adds(out, "\\e");
        else if (text[i] == '-')
            text_adds(out, "\\-");
        else
            text_add(out, &text[i], 1);
    }
}

void roff_page(Text *out, const char *name, int section, const char *summary)
{
    text_adds(out, ".TH ");
    for (const char *c = name; *c; c++)
        text_addf(out, "%c", toupper((unsigned char)*c));
    text_addf(out, " %d \"\" \"lora %s\" \"LoRA fine\\-tuning\"\n.SH NAME\n", section, LORA_VERSION);
    text_addf(out, "%s \\- ", name);
    add(out, summary, strcspn(summary, "\n"));
    text_adds(out, "\n");
}

void roff_section(Text *out, const char *title)
{
    text_addf(out, ".SH \"%s\"\n", title);
}

void roff_subsection(Text *out, const char *title)
{
    text_adds(out, ".SS \"");
    add(out, title, strlen(title));
    text_adds(out, "\"\n");
}

/* Between paragraphs; a heading makes its own gap. */
static void add_gap(Text *out)
{
    const char *line = out->data + out->size - 1; /* never at the beginning of a page */
    while (line > out->data && line[-1] != '\n')
        line--;
    if (!text_starts(line, ".SH ") && !text_starts(line, ".SS "))
        text_adds(out, ".PP\n");
}

static void add_lines(Text *out, const char *text)
{
    bool as_it_is = false;
    while (*text) {
        const size_t n = strcspn(text, "\n");
        if (n == 0) { /* an empty line ends a paragraph */
            text_adds(out, as_it_is ? ".fi\n" : "");
            as_it_is = false;
            text++;
            if (*text && *text != '\n' && !text_starts(text, "  "))
                text_adds(out, ".PP\n");
            continue;
        }
        const bool example = text_starts(text, "  ");
        if (example && !as_it_is)
            add_gap(out);
        if (example != as_it_is)
            text_adds(out, example ? ".nf\n" : ".fi\n.PP\n");
        as_it_is = example;
        add(out, text, n);
        text_adds(out, "\n");
        text += n + (text[n] == '\n');
    }
    if (as_it_is)
        text_adds(out, ".fi\n");
}

void roff_paragraph(Text *out, const char *text)
{
    if (!text_starts(text, "  "))
        add_gap(out);
    add_lines(out, text);
}

void roff_item(Text *out, const char *term, const char *text)
{
    text_adds(out, ".TP\n.B \"");
    add(out, term, strlen(term));
    text_adds(out, "\"\n");
    add_lines(out, text);
}

void roff_exit_codes(Text *out)
{
    static const char *const codes[][2] = {
        { "0", "done" },
        { "1", "the machine said no: disk, memory, network" },
        { "2", "the command line, run file, model, data or adapter; the message says where and what to do" },
        { "3", "the server could not be reached, or went away for longer than ps.patience" },
        { "4", "refused, and would be again: by the server (another run, configuration, base model, data or protocol), "
               "or by this machine (no OpenBLAS that is right, or no room for it under ulimit -v; arithmetic that "
               "it cannot do)" },
        { "5", "the loss, a gradient, a weight of the base or an answer is not finite; nothing of that step was "
               "applied" },
        { "130, 143", "interrupted; the same command goes on" },
    };
    roff_section(out, "EXIT STATUS");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        roff_item(out, codes[i][0], codes[i][1]);
}

void roff_see_also(Text *out, const char *name)
{
    static const char *const pages[][2] = {
        { "lora", "1" }, { "lora_ps", "1" }, { "lora_worker", "1" }, { "run.yaml", "5" }
    };
    const char *comma = "";
    roff_section(out, "SEE ALSO");
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcmp(pages[i][0], name) == 0)
            continue;
        text_addf(out, "%s.BR %s (%s)", comma, pages[i][0], pages[i][1]);
        comma = " ,\n";
    }
    text_adds(out, "\n");
}
