#include "tests/dist/asked.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "launch/cmd_serve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 16 };

typedef struct Asked {
    pid_t pid;
    int said;
} Asked;

static void stop(const char *what, const char *said)
{
    fprintf(stderr, "%s: %s\n", what, said ? said : "");
    exit(1);
}

static Asked begin(AskedCommand command, const char *const *words)
{
    int ends[2], count = 0;
    char *argv[MOST_WORDS + 1] = { 0 };
    for (; count < MOST_WORDS && words[count]; count++)
        argv[count] = xstrdup(words[count]);
    fflush(stdout);
    if (pipe(ends) != 0)
        stop("no pipe", NULL);
    const pid_t pid = fork();
    if (pid < 0)
        stop("no process", NULL);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        const int code = command(count, argv);
        fflush(stdout);
        _exit(code);
    }
    close(ends[1]);
    for (int i = 0; i < count; i++)
        free(argv[i]);
    return (Asked){ pid, ends[0] };
}

/* More of what it says; false: there is none. */
static bool listen_on(const Asked *a, Text *said)
{
    char some[4096];
    const ssize_t n = read(a->said, some, sizeof some);
    if (n > 0)
        text_add(said, some, (size_t)n);
    return n > 0;
}

static int end(Asked *a)
{
    int status = 0;
    close(a->said);
    waitpid(a->pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int asked(AskedCommand command, const char *const *words, Text *said)
{
    Asked a = begin(command, words);
    while (listen_on(&a, said))
        ;
    return end(&a);
}

char *asked_reason(const Text *said)
{
    static const char before[] = "error: ";
    const char *at = said->data ? strstr(said->data, before) : NULL;
    return at ? xstrndup(at + strlen(before), strcspn(at + strlen(before), "\n")) : NULL;
}

/* ---- a server --------------------------------------------------------------------------------------- */

/* A request that its models answer; owned. */
static char *request_for(const ModelArch *arch, size_t *size)
{
    static const char picture[] = "tests/golden/vit-imgcls/dev/bars/000.png";
    Err err = { 0 };
    const bool speaks = arch->head.task->speaks;
    const char *kind = arch->image_size > 0 ? "image/png" : "application/json";
    const char *path = speaks ? "/v1/completions" : arch->image_size > 0 ? "/" : "/predict";
    char *body = speaks ? xstrdup("{\"model\": \"a\", \"prompt\": \"the food\", \"max_tokens\": 2}")
                        : xstrdup("{\"inputs\": \"the food\"}");
    size_t n = strlen(body);
    if (arch->image_size > 0) {
        free(body);
        body = file_read(picture, &n, &err);
        if (!body)
            stop(picture, err.what);
    }
    char *head =
        xprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                path, kind, n);
    const size_t first = strlen(head);
    char *all = xrealloc(head, first + n);
    memcpy(all + first, body, n);
    free(body);
    *size = first + n;
    return all;
}

static void exchange(int port, const ModelArch *arch, Text *answer)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int line = socket(AF_INET, SOCK_STREAM, 0);
    size_t size;
    char *request = request_for(arch, &size), some[4096];
    ssize_t n;
    if (line < 0 || connect(line, (const struct sockaddr *)&to, sizeof to) != 0 ||
        write(line, request, size) != (ssize_t)size)
        stop("the server takes no request", NULL);
    while ((n = read(line, some, sizeof some)) > 0)
        text_add(answer, some, (size_t)n);
    close(line);
    free(request);
}

char *asked_server(const char *adapter, const char *model, const ModelArch *arch)
{
    static const char listens[] = "listening on http://127.0.0.1:";
    char *named = xprintf("--adapter=a=%s", adapter), *base = xprintf("--model=%s", model), *reason = NULL;
    const char *const words[] = { "serve", named, base, "--port=0", "--parallel.threads=1", NULL };
    Text said = { 0 }, answer = { 0 };
    Asked a = begin(cmd_serve, words);
    const char *at = NULL;
    while (!at && listen_on(&a, &said))
        at = strstr(said.data, listens);
    if (at) {
        exchange(atoi(at + strlen(listens)), arch, &answer);
        kill(a.pid, SIGTERM);
        if (!text_starts(answer.data ? answer.data : "", "HTTP/1.1 200"))
            stop("the server answers otherwise", answer.data);
    }
    const int code = end(&a);
    if (!at && code == 2)
        reason = asked_reason(&said);
    if (!reason && code != 0)
        stop("the server failed", said.data);
    text_release(&said);
    text_release(&answer);
    free(named);
    free(base);
    return reason;
}
