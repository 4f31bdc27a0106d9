#include "common/slots/decompose.h"

#include "common/base/mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8 };

/* ---- vectors ----------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, int64_t n)
{
    double sums[LANES] = { 0 }, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += a[i + k] * b[i + k];
    for (int k = 0; k < LANES; k++)
        sum += sums[k];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y += f x */
static void add_times(double *y, double f, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += f * x[i];
}

static void multiply(double *x, double f, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= f;
}

/* y[m] = W x */
static void product(double *y, const Matrix *w, const double *x)
{
    for (int64_t o = 0; o < w->m; o++) {
        const float *row = w->w + o * w->n;
        double sums[LANES] = { 0 }, sum = 0;
        int64_t i = 0;
        for (; i + LANES <= w->n; i += LANES)
            for (int k = 0; k < LANES; k++)
                sums[k] += (double)row[i + k] * x[i + k];
        for (int k = 0; k < LANES; k++)
            sum += sums[k];
        for (; i < w->n; i++)
            sum += (double)row[i] * x[i];
        y[o] = sum;
    }
}

/* y[n] = W^T x */
static void pull(double *y, const Matrix *w, const double *x)
{
    memset(y, 0, (size_t)w->n * sizeof *y);
    for (int64_t o = 0; o < w->m; o++) {
        const float *row = w->w + o * w->n;
        for (int64_t i = 0; i < w->n; i++)
            y[i] += x[o] * (double)row[i];
    }
}

static void draw(double *x, int64_t n, RngKey *key)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 2.0 * (double)rng_uniform(*key, (uint32_t)i) - 1.0;
    key->hi++; /* others the next time */
}

/* Row k of q[k+1,n] made orthogonal to those before it, twice (which is enough). Its length, before it is made 1; where
 * nothing is left of it (0), it becomes a random direction. */
static double orthonormal(double *q, int64_t k, int64_t n, RngKey *key)
{
    double *x = q + k * n, length = sqrt(dot(x, x, n)), least = 0, left = 0;
    for (bool first = true;; first = false, draw(x, n, key), length = sqrt(dot(x, x, n))) {
        least = 1e-12 * length;
        for (int twice = 0; twice < 2; twice++)
            for (int64_t i = 0; i < k; i++)
                add_times(x, -dot(x, q + i * n, n), q + i * n, n);
        left = sqrt(dot(x, x, n));
        if (left > least && left > DBL_MIN) {
            multiply(x, 1 / left, n);
            return first ? left : 0;
        }
    }
}

/* ---- symmetric tridiagonal matrices ------------------------------------------------------------ */

/* Not hypot, which is not rounded alike by every libm. */
static double length2(double a, double b)
{
    return sqrt(a * a + b * b);
}

/* Diagonal d[k] and e[k] (e[i] beside d[i] and d[i+1], the last unused) -> eigenvalues in d, not in order; the rows of
 * z[k,width] are turned with them: z = identity gives the eigenvectors as rows. Implicit QL with Wilkinson's shift
 * (EISPACK tql2). */
static void tridiagonal(double *d, double *e, double *z, int64_t k, int64_t width)
{
    e[k - 1] = 0;
    for (int64_t l = 0; l < k; l++) {
        for (int64_t m = l;; m = l) {
            while (m < k - 1 && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1])))
                m++;
            if (m == l)
                break;
            double g = (d[l + 1] - d[l]) / (2 * e[l]), r = length2(g, 1), s = 1, c = 1, p = 0;
            g = d[m] - d[l] + e[l] / (g + copysign(r, g));
            int64_t i = m - 1;
            for (; i >= l; i--) {
                const double f = s * e[i], b = c * e[i];
                r = length2(f, g);
                e[i + 1] = r;
                if (r == 0) {
                    d[i + 1] -= p;
                    e[m] = 0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                double *upper = z + i * width, *lower = upper + width;
                for (int64_t j = 0; j < width; j++) {
                    const double was = lower[j];
                    lower[j] = s * upper[j] + c * was;
                    upper[j] = c * upper[j] - s * was;
                }
            }
            if (r == 0 && i >= l)
                continue;
            d[l] -= p;
            e[l] = g;
            e[m] = 0;
        }
    }
}

/* index[0,r): of the largest of d[k], falling. */
static void largest(int64_t *index, int64_t r, const double *d, int64_t k)
{
    for (int64_t i = 0; i < r; i++) {
        int64_t best = -1;
        for (int64_t j = 0; j < k; j++) {
            bool taken = false;
            for (int64_t t = 0; t < i; t++)
                taken = taken || index[t] == j;
            if (!taken && (best < 0 || d[j] > d[best]))
                best = j;
        }
        index[i] = best;
    }
}

/* ---- Lanczos ----------------------------------------------------------------------------------- */

/* A symmetric matrix [p,p] without negative eigenvalues: W^T W, W W^T, or Y Y^T of rows y[p,n]. */
typedef struct Symmetric {
    const Matrix *w;
    const double *y;
    bool rows; /* W W^T */
    int64_t p;
    double *room; /* the side between */
} Symmetric;

static void apply(double *out, const Symmetric *a, const double *x)
{
    if (a->y) {
        memset(a->room, 0, (size_t)a->w->n * sizeof *a->room);
        for (int64_t i = 0; i < a->p; i++)
            add_times(a->room, x[i], a->y + i * a->w->n, a->w->n);
        for (int64_t i = 0; i < a->p; i++)
            out[i] = dot(a->y + i * a->w->n, a->room, a->w->n);
    } else if (a->rows) {
        pull(a->room, a->w, x);
        product(out, a->w, a->room);
    } else {
        product(a->room, a->w, x);
        pull(out, a->w, a->room);
    }
}

typedef struct Lanczos {
    double *q; /* [p,p], the first k rows used */
    double *d, *e; /* [p] the tridiagonal matrix in the space of q */
    double *turned, *side, *z; /* room: [p], [p], [p] or [k,k] */
    int64_t *index; /* [p] */
} Lanczos;

static void lanczos_release(Lanczos *l)
{
    free(l->q);
    free(l->d);
    free(l->e);
    free(l->turned);
    free(l->side);
    free(l->z);
    free(l->index);
}

static bool lanczos_open(Lanczos *l, int64_t p, Err *err)
{
    const size_t vector = (size_t)p * sizeof(double);
    size_t square = 0;
    *l = (Lanczos){ 0 };
    if (!mem_mul((size_t)p, vector, &square))
        return err_set(err, ERR_MEMORY, "a matrix of %lld rows and columns is too large", (long long)p);
    return (l->q = mem_alloc(square, err)) && (l->d = mem_alloc(vector, err)) && (l->e = mem_alloc(vector, err)) &&
           (l->turned = mem_alloc(vector, err)) && (l->side = mem_alloc(vector, err)) &&
           (l->z = mem_alloc(square, err)) && (l->index = mem_alloc((size_t)p * sizeof(int64_t), err));
}

/* Eigenvalues of the first k in `turned`, the largest r of them in `index`; what z was is turned. */
static void solve(Lanczos *l, int64_t k, int64_t r, int64_t width)
{
    memcpy(l->turned, l->d, (size_t)k * sizeof(double));
    memcpy(l->side, l->e, (size_t)k * sizeof(double));
    tridiagonal(l->turned, l->side, l->z, k, width);
    largest(l->index, r, l->turned, k);
}

/* |A x - theta x| of an eigenvector of the space is beta times its last coefficient. */
static bool stands(Lanczos *l, int64_t k, int64_t r)
{
    memset(l->z, 0, (size_t)k * sizeof(double));
    l->z[k - 1] = 1;
    solve(l, k, r, 1);
    const double most = 1e-12 * l->turned[l->index[0]];
    for (int64_t i = 0; i < r; i++)
        if (!(l->e[k - 1] * fabs(l->z[l->index[i]]) <= most))
            return false;
    return true;
}

/* Grows the space until the r largest stand in it; its size. A space that nothing leads out of (e = 0) grows from a
 * random direction, and is not taken for the whole. */
static int64_t grow(Lanczos *l, const Symmetric *a, int64_t r, RngKey *key)
{
    int64_t look = 2 * r + 8, k = 0;
    draw(l->q, a->p, key);
    orthonormal(l->q, 0, a->p, key);
    for (;;) {
        double *q = l->q + k * a->p, *next = k + 1 < a->p ? q + a->p : l->turned;
        apply(next, a, q);
        l->d[k++] = dot(q, next, a->p);
        if (k == a->p)
            return k;
        l->e[k - 1] = orthonormal(l->q, k, a->p, key);
        if (k < look || l->e[k - 1] == 0)
            continue;
        if (stands(l, k, r))
            return k;
        look = k + k / 4 + 1;
    }
}

/* values[r], falling, and vectors[r,p] of the largest eigenvalues of A. */
static bool eigen(double *values, double *vectors, const Symmetric *a, int64_t r, RngKey *key, Err *err)
{
    Lanczos l;
    const bool ok = lanczos_open(&l, a->p, err);
    if (ok) {
        const int64_t k = grow(&l, a, r, key);
        memset(l.z, 0, (size_t)(k * k) * sizeof(double));
        for (int64_t i = 0; i < k; i++)
            l.z[i * k + i] = 1;
        solve(&l, k, r, k);
        memset(vectors, 0, (size_t)(r * a->p) * sizeof(double));
        for (int64_t i = 0; i < r; i++) {
            values[i] = l.turned[l.index[i]];
            for (int64_t j = 0; j < k; j++)
                add_times(vectors + i * a->p, l.z[l.index[i] * k + j], l.q + j * a->p, a->p);
        }
    }
    lanczos_release(&l);
    return ok;
}

/* ---- what comes out ---------------------------------------------------------------------------- */

void parts_release(Parts *parts)
{
    free(parts->u);
    free(parts->s);
    free(parts->v);
    *parts = (Parts){ 0 };
}

static bool parts_open(Parts *parts, const Matrix *w, int64_t r, Err *err)
{
    REQUIRE(r >= 1 && r <= w->m && r <= w->n);
    *parts = (Parts){ .r = r };
    parts->u = mem_alloc((size_t)(r * w->m) * sizeof(double), err);
    parts->s = parts->u ? mem_alloc((size_t)r * sizeof(double), err) : NULL;
    parts->v = parts->s ? mem_alloc((size_t)(r * w->n) * sizeof(double), err) : NULL;
    if (!parts->v)
        parts_release(parts);
    return parts->v != NULL;
}

/* Eigenvalues -> singular values; below rounding's reach there is none. */
static void take_roots(Parts *parts)
{
    const double most = parts->s[0];
    for (int64_t i = 0; i < parts->r; i++)
        parts->s[i] = parts->s[i] > 1e-13 * most ? sqrt(parts->s[i]) : 0;
}

bool parts_singular(Parts *parts, const Matrix *w, int64_t r, RngKey key, Err *err)
{
    const bool rows = w->m < w->n;
    const int64_t p = rows ? w->m : w->n, other = rows ? w->n : w->m;
    double *room = mem_alloc((size_t)other * sizeof *room, err);
    bool ok = room && parts_open(parts, w, r, err);
    if (ok) {
        const Symmetric a = { .w = w, .rows = rows, .p = p, .room = room };
        double *own = rows ? parts->u : parts->v, *across = rows ? parts->v : parts->u;
        ok = eigen(parts->s, own, &a, r, &key, err);
        take_roots(parts);
        for (int64_t i = 0; ok && i < r; i++) {
            double *there = across + i * other;
            rows ? pull(there, w, own + i * p) : product(there, w, own + i * p);
            multiply(there, parts->s[i] > 0 ? 1 / parts->s[i] : 0, other);
            multiply(own + i * p, parts->s[i] > 0, p);
        }
    }
    if (!ok)
        parts_release(parts);
    free(room);
    return ok;
}

/* u[r,m] = an orthonormal basis of what W makes of v[r,n]. */
static void basis(double *u, const Matrix *w, const double *v, int64_t r, RngKey *key)
{
    for (int64_t i = 0; i < r; i++) {
        product(u + i * w->m, w, v + i * w->n);
        orthonormal(u, i, w->m, key);
    }
}

static void basis_back(double *v, const Matrix *w, const double *u, int64_t r, RngKey *key)
{
    for (int64_t i = 0; i < r; i++) {
        pull(v + i * w->n, w, u + i * w->m);
        orthonormal(v, i, w->n, key);
    }
}

/* rows[r,n] <- turn[r,r] rows */
static void turn_rows(double *rows, const double *turn, double *room, int64_t r, int64_t n)
{
    memset(room, 0, (size_t)(r * n) * sizeof *room);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            add_times(room + i * n, turn[i * r + j], rows + j * n, n);
    memcpy(rows, room, (size_t)(r * n) * sizeof *room);
}

bool parts_sampled(Parts *parts, const Matrix *w, int64_t r, int rounds, RngKey key, Err *err)
{
    const int64_t wide = w->m > w->n ? w->m : w->n;
    double *room = mem_alloc((size_t)(r * wide) * sizeof *room, err);
    double *turn = room ? mem_alloc((size_t)(r * r) * sizeof *turn, err) : NULL;
    bool ok = turn && parts_open(parts, w, r, err);
    if (ok) {
        for (int64_t i = 0; i < r; i++)
            draw(parts->v + i * w->n, w->n, &key);
        basis(parts->u, w, parts->v, r, &key);
        for (int i = 0; i < rounds; i++) {
            basis_back(parts->v, w, parts->u, r, &key);
            basis(parts->u, w, parts->v, r, &key);
        }
        for (int64_t i = 0; i < r; i++)
            pull(parts->v + i * w->n, w, parts->u + i * w->m);
        const Symmetric a = { .w = w, .y = parts->v, .p = r, .room = room };
        ok = eigen(parts->s, turn, &a, r, &key, err);
        take_roots(parts);
        turn_rows(parts->u, turn, room, r, w->m);
        turn_rows(parts->v, turn, room, r, w->n);
        for (int64_t i = 0; i < r; i++) {
            multiply(parts->v + i * w->n, parts->s[i] > 0 ? 1 / parts->s[i] : 0, w->n);
            multiply(parts->u + i * w->m, parts->s[i] > 0, w->m);
        }
    }
    if (!ok)
        parts_release(parts);
    free(turn);
    free(room);
    return ok;
}

bool parts_qr(Parts *parts, const Matrix *w, int64_t r, RngKey key, Err *err)
{
    if (!parts_open(parts, w, r, err))
        return false;
    for (int64_t i = 0; i < r; i++) {
        for (int64_t o = 0; o < w->m; o++)
            parts->u[i * w->m + o] = (double)w->w[o * w->n + i];
        orthonormal(parts->u, i, w->m, &key);
        pull(parts->v + i * w->n, w, parts->u + i * w->m);
        parts->s[i] = 1;
    }
    return true;
}
