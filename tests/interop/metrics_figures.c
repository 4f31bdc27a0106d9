/* Figures of cases, for tests/interop/metrics.py: a line of JSON in (tests/support/metric_case.h),
 * a line of JSON out. */
#include "tests/support/metric_case.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const int64_t chunk = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (chunk < 1) {
        fprintf(stderr, "usage: metrics_figures EXAMPLES_A_CHUNK <CASES.jsonl\n");
        return 2;
    }
    json_error_t error;
    json_t *line;
    while ((line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &error)) != NULL) {
        const char **names;
        Metrics metrics = metric_case(line, chunk, &names);
        Figure figures[METRICS_FIGURES];
        const int count = metrics_figures(&metrics, figures);
        for (int i = 0; i < count; i++)
            printf("%s\"%s\": %.17g", i ? ", " : "{", figures[i].name, figures[i].value);
        puts("}");
        metrics_release(&metrics);
        free(names);
        json_decref(line);
    }
    return 0;
}
