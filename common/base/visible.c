#include "common/base/visible.h"

#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a control character that begins here; 0: it is none. U+0080 to U+009F are two bytes of UTF-8. */
static int control(const char *at)
{
    const unsigned char c = (unsigned char)at[0], next = c ? (unsigned char)at[1] : 0;
    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && next >= 0x80 && next < 0xa0 ? 2 : 0;
}

void visible_print(FILE *out, const char *text)
{
    static const char named[] = "\n\r\t", letters[] = "nrt";
    while (*text) {
        const int size = control(text);
        const char *name = size == 1 ? strchr(named, *text) : NULL;
        if (name)
            fprintf(out, "\\%c", letters[name - named]);
        else if (size)
            fprintf(out, "\\x%02x", (unsigned char)text[size - 1]);
        else
            fputc(*text, out);
        text += size ? size : 1;
    }
}

void visible_add(Text *to, const char *text)
{
    char *data = NULL;
    size_t size;
    FILE *out = open_memstream(&data, &size);
    REQUIRE(out);
    visible_print(out, text);
    REQUIRE(fclose(out) == 0);
    text_add(to, data, size);
    free(data);
}
