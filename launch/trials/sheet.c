#include "launch/trials/sheet.h"

#include "common/base/mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void sheet_init(Sheet *sheet, const char *const *titles)
{
    *sheet = (Sheet){ 0 };
    for (; titles[sheet->columns]; sheet->columns++) {
        REQUIRE(sheet->columns < SHEET_COLUMNS);
        sheet->titles[sheet->columns] = titles[sheet->columns];
    }
    sheet->used = sheet->columns;
}

void sheet_release(Sheet *sheet)
{
    for (int i = 0; i < sheet->rows * sheet->columns; i++)
        free(sheet->cells[i]);
    free(sheet->cells);
    *sheet = (Sheet){ 0 };
}

void sheet_put(Sheet *sheet, const char *format, ...)
{
    char room[512];
    va_list list;
    va_start(list, format);
    vsnprintf(room, sizeof room, format, list);
    va_end(list);
    const int columns = sheet->columns;
    if (sheet->used == columns) {
        sheet->rows++;
        sheet->used = 0;
        sheet->cells = xrealloc(sheet->cells, (size_t)(sheet->rows * columns) * sizeof *sheet->cells);
        for (int c = 0; c < columns; c++)
            sheet->cells[(sheet->rows - 1) * columns + c] = NULL;
    }
    sheet->cells[(sheet->rows - 1) * columns + sheet->used++] = xstrdup(room);
}

static const char *cell(const Sheet *sheet, int row, int column)
{
    const char *text = sheet->cells[row * sheet->columns + column];
    return text ? text : "";
}

/* Letters, not bytes. */
static int width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Numbers, as far as it has anything but "-". */
static bool is_number(const Sheet *sheet, int column)
{
    bool any = false;
    for (int r = 0; r < sheet->rows; r++) {
        const char *text = cell(sheet, r, column);
        const bool digit = isdigit((unsigned char)text[0]) || (text[0] == '-' && isdigit((unsigned char)text[1]));
        if (text[0] && !digit && !(text[0] == '-' && !text[1]))
            return false;
        any |= digit;
    }
    return any;
}

static void pad(Text *out, int n)
{
    for (int i = 0; i < n; i++)
        text_adds(out, " ");
}

static void print_cell(const Sheet *sheet, const char *text, int column, int widest, Text *out)
{
    const int room = widest - width(text);
    const bool right = is_number(sheet, column);
    if (right)
        pad(out, room);
    text_adds(out, text);
    if (!right && column + 1 < sheet->columns)
        pad(out, room);
    text_adds(out, column + 1 < sheet->columns ? "  " : "\n");
}

void sheet_print(const Sheet *sheet, Text *out)
{
    for (int r = -1; r < sheet->rows; r++)
        for (int c = 0; c < sheet->columns; c++) {
            int widest = width(sheet->titles[c]);
            for (int i = 0; i < sheet->rows; i++)
                widest = width(cell(sheet, i, c)) > widest ? width(cell(sheet, i, c)) : widest;
            print_cell(sheet, r < 0 ? sheet->titles[c] : cell(sheet, r, c), c, widest, out);
        }
}

static void add_marked(Text *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            text_adds(out, "\\");
        text_add(out, text, 1);
    }
}

void sheet_markdown(const Sheet *sheet, Text *out)
{
    for (int c = 0; c < sheet->columns; c++)
        text_addf(out, "| %s ", sheet->titles[c]);
    text_adds(out, "|\n");
    for (int c = 0; c < sheet->columns; c++)
        text_adds(out, is_number(sheet, c) ? "|---:" : "|---");
    text_adds(out, "|\n");
    for (int r = 0; r < sheet->rows; r++) {
        for (int c = 0; c < sheet->columns; c++) {
            text_adds(out, "| ");
            add_marked(out, cell(sheet, r, c));
            text_adds(out, " ");
        }
        text_adds(out, "|\n");
    }
}
