/* Everything between two contractions is one pass here, in this order, each part optional:
 *
 *     out = pool(dropout(activation(normalization(in) + residual)))
 *
 * The backward pass computes the intermediate values again, in registers or in the first-level cache.
 */
#pragma once
#include "vectors.h"

enum { NO_POOL, MAX_POOL, AVERAGE_POOL };

typedef struct {
    View in, out, residual;          /* residual.at is NULL where nothing is added */
    View d_in, d_out, d_residual;    /* gradients; d_in is the gradient of the normalization's output where there is a normalization */
    View mask;                       /* factors of elementwise dropout, or NULL */
    const float *channel_mask;       /* (images, channels): 1 where channel dropout keeps a channel, or NULL */
    const float *gamma, *beta, *slope; /* slope: of the activation, one a channel or one for all */
    float *running_mean, *running_var, *d_gamma, *d_beta, *d_slope;
    int64_t *batches;                /* how many the running statistics have seen, or NULL */
    vec *pivot, *mean, *squares;     /* blocks x channels: a pixel of each image, the mean distance from it, squares of the distances from the mean */
    double *sums;                    /* blocks x channels x 3: of the gradient, of it times the distance from the mean, of the slope's */
    float *scale, *shift, *center;   /* channels: normalization is (in - center) * scale + shift */
    double *rest;                    /* channels: what rounding to center took from the mean */
    float *inverse_std, *coefficients; /* channels; channels x 3 */
    int32_t channels, height, width, out_height, out_width; /* height and width of the input, and of the output after pooling */
    int32_t norm, activation, slopes, pool, pool_height, pool_width, pool_stride, pool_padding; /* slopes: 0, 1 or channels */
    int32_t store_d_in, store_d_residual, accumulate_d_in, accumulate_d_residual, accumulate_norm, accumulate_slope;
    float eps, momentum, fixed_slope, kept; /* momentum: below 0 for the average of all batches; kept: factor of a channel that is kept */
    int32_t reserved;
} Elementwise;

/* --- normalization: statistics ---------------------------------------------------------------------------------------------------- */

/* In two passes over the first-level cache, and on distances from one pixel: a difference of sums of squares, or a sum of values far from
 * zero, would lose the digits that matter. */
static void moments(const Elementwise *e, Place at) {
    float pixels = (float)(e->height * e->width);
    for (int c = 0; c < e->channels; c++) {
        const vec *a = plane_of(&e->in, at, c), pivot = a[0];
        vec sum[4] = {{0}}, square[4] = {{0}}; /* four, so that additions need not wait for each other */
        for (int y = 0; y < e->height; y++) {
            const vec *r = a + (long)y * e->in.row;
            int x = 0;
            for (; x + 3 < e->width; x += 4)
                UNROLL for (int i = 0; i < 4; i++) sum[i] += r[x + i] - pivot;
            for (; x < e->width; x++) sum[0] += r[x] - pivot;
        }
        vec mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / pixels;
        for (int y = 0; y < e->height; y++) {
            const vec *r = a + (long)y * e->in.row;
            int x = 0;
            for (; x + 3 < e->width; x += 4)
                UNROLL for (int i = 0; i < 4; i++) {
                    vec d = (r[x + i] - pivot) - mean;
                    square[i] += d * d;
                }
            for (; x < e->width; x++) {
                vec d = (r[x] - pivot) - mean;
                square[0] += d * d;
            }
        }
        long index = (long)at.block * e->channels + c;
        e->pivot[index] = pivot;
        e->mean[index] = mean;
        e->squares[index] = (square[0] + square[1]) + (square[2] + square[3]);
    }
}

INLINE double image_mean(const Elementwise *e, int image, int c) {
    long index = (long)(image / LANES) * e->channels + c;
    return (double)e->pivot[index][image % LANES] + e->mean[index][image % LANES];
}

/* Biased variance normalizes, the unbiased one goes into the running average, as in torch.nn.BatchNorm2d. */
static void finish_moments(const Elementwise *e, int images, int training) {
    double pixels = (double)e->height * e->width, count = images * pixels;
    if (training && e->batches) ++*e->batches;
    float momentum = e->momentum < 0 ? 1.0f / *e->batches : e->momentum;
    for (int c = 0; c < e->channels; c++) {
        double mean, var;
        if (training) {
            double sum = 0, square = 0;
            for (int i = 0; i < images; i++) sum += image_mean(e, i, c);
            mean = sum / images;
            for (int i = 0; i < images; i++) {
                double distance = image_mean(e, i, c) - mean;
                square += e->squares[(long)(i / LANES) * e->channels + c][i % LANES] + pixels * distance * distance;
            }
            var = square / count;
            e->running_mean[c] = momentum * (float)mean + (1 - momentum) * e->running_mean[c];
            e->running_var[c] = momentum * (float)(var * count / (count - 1)) + (1 - momentum) * e->running_var[c];
        } else {
            mean = e->running_mean[c];
            var = e->running_var[c];
        }
        e->center[c] = mean;
        e->rest[c] = mean - e->center[c];
        e->inverse_std[c] = 1 / sqrt(var + e->eps);
        e->scale[c] = (e->gamma ? e->gamma[c] : 1) * e->inverse_std[c];
        e->shift[c] = (e->beta ? e->beta[c] : 0) - e->rest[c] * e->scale[c];
    }
}

/* --- forward ---------------------------------------------------------------------------------------------------------------------- */

/* What a pass needs of one channel of one block. */
typedef struct {
    vec scale, center, shift, factor, slope;
} Channel;

INLINE Channel channel_of(const Elementwise *e, int block, int c, int images, int training) {
    Channel k = {.scale = (vec){0} + 1, .center = {0}, .shift = {0}, .factor = (vec){0} + 1};
    if (e->norm) {
        k.scale = (vec){0} + e->scale[c];
        k.center = (vec){0} + e->center[c];
        k.shift = (vec){0} + e->shift[c];
    }
    if (training && e->channel_mask)
        for (int i = 0; i < LANES; i++) {
            int image = block * LANES + i;
            k.factor[i] = image < images ? e->channel_mask[(long)image * e->channels + c] * e->kept : 0;
        }
    k.slope = (vec){0} + (e->slopes ? e->slope[e->slopes == 1 ? 0 : c] : e->fixed_slope);
    return k;
}

/* Values of a row before pooling. */
INLINE void forward_row(const int activation, const int residual, const int masked, const Channel *k, const vec *a, const vec *r, const vec *m,
                        int width, vec *restrict out) {
    const Channel channel = *k;
    for (int x = 0; x < width; x++) {
        vec u = (a[x] - channel.center) * channel.scale + channel.shift;
        if (residual) u += r[x];
        vec v = activate(activation, u, channel.slope) * channel.factor;
        out[x] = masked ? v * m[x] : v;
    }
}

typedef void ForwardRow(const Channel *k, const vec *a, const vec *r, const vec *m, int width, vec *out);
#define FORWARD(A, R, M) \
    static void forward_##A##_##R##_##M(const Channel *k, const vec *a, const vec *r, const vec *m, int width, vec *out) { \
        forward_row(A, R, M, k, a, r, m, width, out); \
    }
#define EACH(F) F(0, 0, 0) F(0, 0, 1) F(0, 1, 0) F(0, 1, 1) F(1, 0, 0) F(1, 0, 1) F(1, 1, 0) F(1, 1, 1) \
    F(2, 0, 0) F(2, 0, 1) F(2, 1, 0) F(2, 1, 1) F(3, 0, 0) F(3, 0, 1) F(3, 1, 0) F(3, 1, 1)
EACH(FORWARD)
#define FORWARD_NAME(A, R, M) forward_##A##_##R##_##M,
static ForwardRow *const forward_rows[16] = {EACH(FORWARD_NAME)};

INLINE vec maximum(vec a, vec b) { return select_vec((a > b) | (a != a), a, b); } /* a NaN on either side comes through, as in torch */

/* Whether pixel (y, x) of the input is inside, for windows that reach over the edge. */
INLINE int inside(const Elementwise *e, int y, int x) { return y >= 0 && y < e->height && x >= 0 && x < e->width; }

static vec pooled(const Elementwise *e, const vec *w, int oy, int ox) {
    int y0 = oy * e->pool_stride - e->pool_padding, x0 = ox * e->pool_stride - e->pool_padding;
    vec v = (vec){0} + (e->pool == MAX_POOL ? -INFINITY : 0.0f);
    for (int y = y0; y < y0 + e->pool_height; y++)
        for (int x = x0; x < x0 + e->pool_width; x++)
            if (inside(e, y, x)) v = e->pool == MAX_POOL ? maximum(w[y * e->width + x], v) : v + w[y * e->width + x];
    return e->pool == MAX_POOL ? v : v / (float)(e->pool_height * e->pool_width);
}

INLINE int halves(const Elementwise *e) {
    return e->pool == MAX_POOL && e->pool_height == 2 && e->pool_width == 2 && e->pool_stride == 2 && e->pool_padding == 0;
}

INLINE void forward_plane(const Elementwise *e, Place at, int c, const Channel *k, vec *out, int out_row, int training) {
    const vec *a = plane_of(&e->in, at, c), *r = e->residual.at ? plane_of(&e->residual, at, c) : a;
    int masked = training && e->mask.at;
    const vec *m = masked ? plane_of(&e->mask, at, c) : a;
    ForwardRow *row = forward_rows[4 * e->activation + 2 * (e->residual.at != 0) + masked];
    for (int y = 0; y < e->height; y++)
        row(k, a + (long)y * e->in.row, r + (long)y * e->residual.row, m + (long)y * e->mask.row, e->width, out + (long)y * out_row);
}

static void forward_elementwise(const Elementwise *e, Place at, int images, int training, vec *scratch) {
    clear_border(&e->out, at, e->channels, e->out_height, e->out_width);
    for (int c = 0; c < e->channels; c++) {
        Channel k = channel_of(e, at.block, c, images, training);
        vec *out = plane_of(&e->out, at, c);
        if (e->pool == NO_POOL) {
            forward_plane(e, at, c, &k, out, e->out.row, training);
            continue;
        }
        forward_plane(e, at, c, &k, scratch, e->width, training);
        for (int y = 0; y < e->out_height; y++, out += e->out.row) {
            const vec *w = scratch + (long)2 * y * e->width, *below = w + e->width;
            if (halves(e))
                for (int x = 0; x < e->out_width; x++)
                    out[x] = maximum(maximum(w[2 * x], w[2 * x + 1]), maximum(below[2 * x], below[2 * x + 1]));
            else
                for (int x = 0; x < e->out_width; x++) out[x] = pooled(e, scratch, y, x);
        }
    }
}

/* --- backward --------------------------------------------------------------------------------------------------------------------- */

INLINE vec where(ivec mask, vec v) { return (vec)((ivec)v & mask); }

/* The gradient by what was pooled, w, whose row is the input's width; the first of the largest gets it, as in torch. */
static void unpool_halves(const Elementwise *e, const vec *w, const View *from, const vec *d, vec *to) {
    int row = e->width;
    for (int y = 0; y < e->out_height; y++) {
        const vec *q = w + (long)2 * y * row, *g = d + (long)y * from->row;
        vec *o = to + (long)2 * y * row;
        for (int x = 0; x < e->out_width; x++, q += 2, o += 2) {
            vec v = g[x], top = maximum(maximum(q[0], q[1]), maximum(q[row], q[row + 1]));
            ivec m0 = q[0] == top, m1 = (q[1] == top) & ~m0, m2 = (q[row] == top) & ~(m0 | m1);
            o[0] = where(m0, v);
            o[1] = where(m1, v);
            o[row] = where(m2, v);
            o[row + 1] = where(~(m0 | m1 | m2), v);
        }
        if (row > 2 * e->out_width) o[0] = o[row] = (vec){0}; /* what an odd size leaves out */
    }
    for (int i = 2 * e->out_height * row; i < e->height * row; i++) to[i] = (vec){0};
}

static void unpool(const Elementwise *e, const vec *w, const View *from, const vec *d, vec *to) {
    float share = 1.0f / (float)(e->pool_height * e->pool_width);
    memset(to, 0, sizeof(vec) * e->height * e->width);
    for (int oy = 0; oy < e->out_height; oy++)
        for (int ox = 0; ox < e->out_width; ox++) {
            vec v = d[(long)oy * from->row + ox], top = {0};
            int y0 = oy * e->pool_stride - e->pool_padding, x0 = ox * e->pool_stride - e->pool_padding;
            if (e->pool == MAX_POOL) top = pooled(e, w, oy, ox);
            ivec open = (ivec){0} - 1;
            for (int y = y0; y < y0 + e->pool_height; y++)
                for (int x = x0; x < x0 + e->pool_width; x++) {
                    if (!inside(e, y, x)) continue;
                    long i = (long)y * e->width + x;
                    if (e->pool == AVERAGE_POOL) { to[i] += v * share; continue; }
                    ivec hit = open & ((w[i] == top) | (w[i] != w[i]));
                    to[i] += where(hit, v);
                    open &= ~hit;
                }
        }
}

/* sums, two of each, so that additions need not wait for each other: of the gradient, of its product with the distance from the mean,
 * of the gradient of the slope. */
INLINE void backward_row(const int activation, const int residual, const int masked, const Channel *k, const vec *a, const vec *r, const vec *m,
                         const vec *d, int width, vec *sums, vec *d_in, int add_in, vec *restrict d_residual, int add_residual) {
    vec gradients[2] = {sums[0], sums[1]}, products[2] = {sums[2], sums[3]}, slopes = sums[4];
    const Channel channel = *k;
    for (int x = 0; x < width; x += 2)
        UNROLL for (int i = 0; i < 2; i++) {
            if (x + i >= width) break;
            vec centered = a[x + i] - channel.center, g = d[x + i] * channel.factor, u = centered * channel.scale + channel.shift;
            if (residual) u += r[x + i];
            if (masked) g *= m[x + i];
            if (activation == LEAKY) slopes += where(~(u > 0), g * u);
            g = activation_gradient(activation, g, u, channel.slope);
            gradients[i] += g;
            products[i] += g * centered;
            if (d_in) d_in[x + i] = add_in ? d_in[x + i] + g : g;
            if (residual && d_residual) d_residual[x + i] = add_residual ? d_residual[x + i] + g : g;
        }
    sums[0] = gradients[0], sums[1] = gradients[1], sums[2] = products[0], sums[3] = products[1], sums[4] = slopes;
}

typedef void BackwardRow(const Channel *k, const vec *a, const vec *r, const vec *m, const vec *d, int width, vec *sums, vec *d_in, int add_in,
                         vec *restrict d_residual, int add_residual);
#define BACKWARD(A, R, M) \
    static void backward_##A##_##R##_##M(const Channel *k, const vec *a, const vec *r, const vec *m, const vec *d, int width, vec *sums, \
                                         vec *d_in, int add_in, vec *restrict d_residual, int add_residual) { \
        backward_row(A, R, M, k, a, r, m, d, width, sums, d_in, add_in, d_residual, add_residual); \
    }
EACH(BACKWARD)
#define BACKWARD_NAME(A, R, M) backward_##A##_##R##_##M,
static BackwardRow *const backward_rows[16] = {EACH(BACKWARD_NAME)};

/* scratch: two planes. */
static void backward_elementwise(const Elementwise *e, Place at, int images, vec *scratch) {
    if (e->store_d_in) clear_border(&e->d_in, at, e->channels, e->height, e->width);
    vec *values = scratch, *unpooled = scratch + (long)e->height * e->width;
    BackwardRow *row = backward_rows[4 * e->activation + 2 * (e->residual.at != 0) + (e->mask.at != 0)];
    for (int c = 0; c < e->channels; c++) {
        Channel k = channel_of(e, at.block, c, images, 1);
        const vec *a = plane_of(&e->in, at, c), *r = e->residual.at ? plane_of(&e->residual, at, c) : a;
        const vec *m = e->mask.at ? plane_of(&e->mask, at, c) : a, *d = plane_of(&e->d_out, at, c);
        vec *d_in = e->store_d_in ? plane_of(&e->d_in, at, c) : 0, *d_residual = e->store_d_residual ? plane_of(&e->d_residual, at, c) : 0;
        int d_row = e->d_out.row;
        if (e->pool != NO_POOL) {
            if (e->pool == MAX_POOL) forward_plane(e, at, c, &k, values, e->width, 1);
            if (halves(e)) unpool_halves(e, values, &e->d_out, d, unpooled);
            else unpool(e, values, &e->d_out, d, unpooled);
            d = unpooled;
            d_row = e->width;
        }
        vec sums[5] = {{0}};
        for (int y = 0; y < e->height; y++)
            row(&k, a + (long)y * e->in.row, r + (long)y * e->residual.row, m + (long)y * e->mask.row, d + (long)y * d_row, e->width, sums,
                d_in ? d_in + (long)y * e->d_in.row : 0, e->accumulate_d_in, d_residual ? d_residual + (long)y * e->d_residual.row : 0,
                e->accumulate_d_residual);
        double *total = e->sums + 3 * ((long)at.block * e->channels + c);
        total[0] = lane_sum(sums[0] + sums[1]);
        total[1] = lane_sum(sums[2] + sums[3]);
        total[2] = lane_sum(sums[4]);
    }
}

INLINE double batch_sum(const Elementwise *e, int blocks, int c, int which) {
    double sum = 0;
    for (int b = 0; b < blocks; b++) sum += e->sums[3 * ((long)b * e->channels + c) + which];
    return sum;
}

INLINE void put(float *to, int accumulate, double value) {
    if (to) *to = (accumulate ? *to : 0.0f) + (float)value;
}

/* The gradient by the normalization's input is (gradient - mean gradient - (input - mean) * tilt) * scale; the difference of nearly
 * equal terms comes before the scaling, which would round them apart. */
static void finish_normalization(const Elementwise *e, int blocks, int images) {
    double count = (double)images * e->height * e->width;
    for (int c = 0; c < e->channels; c++) {
        double gradient = batch_sum(e, blocks, c, 0), inverse = e->inverse_std[c];
        double normalized = (batch_sum(e, blocks, c, 1) - e->rest[c] * gradient) * inverse;
        put(e->d_gamma ? e->d_gamma + c : 0, e->accumulate_norm & 1, normalized);
        put(e->d_beta ? e->d_beta + c : 0, e->accumulate_norm & 2, gradient);
        float *k = e->coefficients + 3 * c;
        k[0] = e->scale[c];
        k[1] = inverse * normalized / count;
        k[2] = gradient / count - e->rest[c] * inverse * normalized / count;
    }
}

static void finish_slopes(const Elementwise *e, int blocks) {
    double all = 0;
    for (int c = 0; c < e->channels; c++) {
        double sum = batch_sum(e, blocks, c, 2);
        all += sum;
        if (e->slopes > 1) put(e->d_slope + c, e->accumulate_slope, sum);
    }
    if (e->slopes == 1) put(e->d_slope, e->accumulate_slope, all);
}

/* --- what is left of a backward pass once the sums over the batch are known ------------------------------------------------------- */

typedef struct {
    View value, from, to;              /* the input of a normalization or the output of an activation; its gradient before and after */
    const float *coefficients, *center; /* of the normalization, or NULL */
    int32_t channels, height, width, activation, accumulate;
    float slope;
} Finish;

INLINE void finish_row(const int activation, vec scale, vec mean, vec tilt, vec center, vec slope, const vec *a, const vec *g, vec *to, int width,
                       int add) {
    for (int x = 0; x < width; x++) {
        vec v = activation_gradient(activation, ((g[x] - mean) - (a[x] - center) * tilt) * scale, a[x], slope);
        to[x] = add ? to[x] + v : v;
    }
}

static void finish_gradient(const Finish *f, Place at, int images) {
    clear_border(&f->to, at, f->channels, f->height, f->width);
    vec use = lanes_in_use(images, at.block), slope = (vec){0} + f->slope;
    for (int c = 0; c < f->channels; c++) {
        vec scale = use, tilt = {0}, mean = {0}, center = {0};
        if (f->coefficients) {
            scale = use * f->coefficients[3 * c];
            tilt += f->coefficients[3 * c + 1];
            mean += f->coefficients[3 * c + 2];
            center += f->center[c];
        }
        const vec *a = plane_of(&f->value, at, c), *g = plane_of(&f->from, at, c);
        vec *to = plane_of(&f->to, at, c);
        for (int y = 0; y < f->height; y++, a += f->value.row, g += f->from.row, to += f->to.row)
            switch (f->activation) {
                case NONE: finish_row(NONE, scale, mean, tilt, center, slope, a, g, to, f->width, f->accumulate); break;
                case RELU: finish_row(RELU, scale, mean, tilt, center, slope, a, g, to, f->width, f->accumulate); break;
                case RELU6: finish_row(RELU6, scale, mean, tilt, center, slope, a, g, to, f->width, f->accumulate); break;
                default: finish_row(LEAKY, scale, mean, tilt, center, slope, a, g, to, f->width, f->accumulate);
            }
    }
}
