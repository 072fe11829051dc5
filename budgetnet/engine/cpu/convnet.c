/* Forward and backward pass of a plain convolutional network, for batches on a CPU.
 *
 * Why this exists: with ten channels a layer, library convolutions spend their time on channel padding, layout changes
 * and one pass over memory per operation. Here sixteen images sit side by side in the innermost dimension, so every
 * operation is a full-width vector operation whatever the number of channels, and
 * convolution + bias + ReLU + statistics, and normalization + dropout + max-pooling, are one pass each.
 *
 * A layer is   convolution -> bias? -> ReLU? -> batch normalization? -> channel dropout? -> 2x2 max-pooling?
 * The last layer is followed by global average pooling, which gives the logits.
 *
 * Layout: activation[block][channel][y][x][LANES], block = image / LANES, lane = image % LANES. Sums over the batch are
 * formed per block and added in the order of the blocks, so results do not depend on the number of threads.
 */
#include "convolution.h"

/* --- forward: batch normalization and dropout as one multiply-add per element --------------------------------------- */

INLINE vec lanes_in_use(int images, int block) {
    vec v = {0};
    for (int i = 0; i < LANES; i++) v[i] = block * LANES + i < images ? 1.0f : 0.0f;
    return v;
}

static void block_sums(const Layer *l, int block, int images) {
    long pixels = (long)l->out_height * l->out_width;
    vec use = lanes_in_use(images, block);
    for (int c = 0; c < l->channels; c++) {
        const vec *a = l->output + ((long)block * l->channels + c) * pixels;
        vec sum = {0}, square = {0};
        for (long i = 0; i < pixels; i++) { sum += a[i]; square += a[i] * a[i]; }
        double *out = l->sums + 2 * ((long)block * l->channels + c);
        out[0] = out[1] = 0;
        sum *= use; square *= use;
        for (int i = 0; i < LANES; i++) { out[0] += sum[i]; out[1] += square[i]; }
    }
}

/* Biased variance normalizes, the unbiased one goes into the running average, as in torch.nn.BatchNorm2d. */
static void finish_statistics(Layer *l, int blocks, int images, int training) {
    double count = (double)images * l->out_height * l->out_width;
    for (int c = 0; c < l->channels; c++) {
        float scale = 1, shift = 0;
        if (l->norm) {
            double mean = l->running_mean[c], var = l->running_var[c];
            if (training) {
                double sum = 0, square = 0;
                for (int b = 0; b < blocks; b++) { sum += l->sums[2 * ((long)b * l->channels + c)]; square += l->sums[2 * ((long)b * l->channels + c) + 1]; }
                mean = sum / count;
                var = square / count - mean * mean;
                if (var < 0) var = 0; /* rounding; unlike fmax this lets NaN through */
                l->running_mean[c] += l->momentum * ((float)mean - l->running_mean[c]);
                l->running_var[c] += l->momentum * ((float)(var * count / (count - 1)) - l->running_var[c]);
            }
            l->mean[c] = mean;
            l->inverse_std[c] = 1 / sqrt(var + l->eps);
            scale = l->gamma[c] * l->inverse_std[c];
            shift = l->beta[c] - l->mean[c] * scale;
        }
        for (int b = 0; b < blocks; b++) {
            vec factor = (vec){0} + 1.0f;
            if (training && l->mask)
                for (int i = 0; i < LANES; i++) factor[i] = b * LANES + i < images ? l->mask[(long)(b * LANES + i) * l->channels + c] : 0.0f;
            l->scale[(long)b * l->channels + c] = factor * scale;
            l->shift[(long)b * l->channels + c] = factor * shift;
        }
    }
}

INLINE vec maximum(vec a, vec b) {
    ivec m = (a > b) | (a != a); /* a NaN on either side comes through, as in torch */
    return (vec)(((ivec)a & m) | ((ivec)b & ~m));
}

/* Writes the next layer's bordered input of one block: normalization, dropout, pooling. */
static void hand_on(const Layer *l, const Layer *next, int block) {
    int h = next->height, w = next->width, p = next->padding, row = w + 2 * p, ow = l->out_width;
    for (int c = 0; c < l->channels; c++) {
        long index = (long)block * l->channels + c;
        vec s = l->scale[index], t = l->shift[index];
        const vec *a = l->output + index * l->out_height * ow;
        vec *out = next->input + index * (h + 2 * p) * row + (long)p * row + p;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                if (l->pool) {
                    const vec *q = a + (long)2 * y * ow + 2 * x;
                    out[(long)y * row + x] = maximum(maximum(q[0] * s + t, q[1] * s + t), maximum(q[ow] * s + t, q[ow + 1] * s + t));
                } else
                    out[(long)y * row + x] = a[(long)y * ow + x] * s + t;
            }
    }
}

static void forward_block(Layer *l, int block, int images, int training) {
    int ph = l->height + 2 * l->padding, pw = l->width + 2 * l->padding;
    convolve(l->input + (long)block * l->in_channels * ph * pw, l->in_channels, ph, pw, l->kernel, l->packed, l->bias,
             l->output + (long)block * l->channels * l->out_height * l->out_width, l->channels, l->out_height, l->out_width, l->relu);
    if (training && l->norm) block_sums(l, block, images);
}

static void take_images(const Layer *l, const float *images, int n, int block) {
    int p = l->padding, row = l->width + 2 * p;
    for (int c = 0; c < l->in_channels; c++)
        for (int y = 0; y < l->height; y++)
            for (int x = 0; x < l->width; x++) {
                vec v = {0};
                for (int j = 0; j < LANES && block * LANES + j < n; j++)
                    v[j] = images[(((long)(block * LANES + j) * l->in_channels + c) * l->height + y) * l->width + x];
                l->input[((long)(block * l->in_channels + c) * (l->height + 2 * p) + y + p) * row + x + p] = v;
            }
}

/* The last layer is a plain convolution: its mean over the pixels is the logits. */
static void average(const Layer *l, float *logits, int n, int block) {
    long pixels = (long)l->out_height * l->out_width;
    for (int c = 0; c < l->channels; c++) {
        vec sum = {0};
        for (long i = 0; i < pixels; i++) sum += l->output[((long)block * l->channels + c) * pixels + i];
        sum /= (float)pixels;
        for (int j = 0; j < LANES && block * LANES + j < n; j++) logits[(long)(block * LANES + j) * l->channels + c] = sum[j];
    }
}

/* images: (n, channels, height, width) float; logits: (n, channels of the last layer) float. */
void convnet_forward(Layer *layers, int count, const float *images, int n, float *logits, int training, int threads) {
    int blocks = (n + LANES - 1) / LANES;
    for (int i = 0; i < count; i++) pack(&layers[i], 0, layers[i].packed);
    for (int i = 0; i < count; i++) {
        Layer *l = &layers[i];
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int b = 0; b < blocks; b++) {
            if (i == 0) take_images(l, images, n, b);
            else hand_on(&layers[i - 1], l, b);
            forward_block(l, b, n, training);
        }
        finish_statistics(l, blocks, n, training);
    }
    for (int b = 0; b < blocks; b++) average(&layers[count - 1], logits, n, b);
}

/* --- backward ------------------------------------------------------------------------------------------------------- */

/* Which of four pooled values the gradient goes to: the first of the largest, as in torch. */
INLINE void pool_masks(const vec *q, int row, vec s, vec t, ivec *m) {
    vec v0 = q[0] * s + t, v1 = q[1] * s + t, v2 = q[row] * s + t, v3 = q[row + 1] * s + t, top = maximum(maximum(v0, v1), maximum(v2, v3));
    m[0] = v0 == top;
    m[1] = (v1 == top) & ~m[0];
    m[2] = (v2 == top) & ~(m[0] | m[1]);
    m[3] = ~(m[0] | m[1] | m[2]);
}

INLINE vec where(ivec mask, vec v) { return (vec)((ivec)v & mask); }

/* The dropout factor of a block and channel, 0 in lanes without an image. */
INLINE vec dropout_factor(const Layer *l, int block, int c, int images) {
    vec factor = lanes_in_use(images, block);
    if (l->mask)
        for (int j = 0; j < LANES && block * LANES + j < images; j++) factor[j] = l->mask[(long)(block * LANES + j) * l->channels + c];
    return factor;
}

/* The two sums that the gradient of a normalization needs: of the gradient that reaches it, and of that times its input. */
static void gradient_sums(const Layer *l, const Layer *next, int block, int images) {
    int h = next->height, w = next->width, row = l->out_width;
    for (int c = 0; c < l->channels; c++) {
        long index = (long)block * l->channels + c;
        const vec *a = l->output + index * l->out_height * row, *d = next->d_input + index * h * w;
        vec s = l->scale[index], t = l->shift[index], sum = {0}, product = {0};
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                vec v = d[y * w + x];
                sum += v;
                if (!l->pool) { product += v * a[y * row + x]; continue; }
                const vec *q = a + 2 * y * row + 2 * x;
                ivec m[4];
                pool_masks(q, row, s, t, m);
                product += v * (vec)(((ivec)q[0] & m[0]) | ((ivec)q[1] & m[1]) | ((ivec)q[row] & m[2]) | ((ivec)q[row + 1] & m[3]));
            }
        vec factor = dropout_factor(l, block, c, images);
        double *out = l->sums + 2 * index;
        out[0] = out[1] = 0;
        for (int j = 0; j < LANES; j++) { out[0] += sum[j] * factor[j]; out[1] += product[j] * factor[j]; }
    }
}

/* d_conv = (A * gradient + B * output + C) where the ReLU was open; A, B, C from the sums over the batch. */
static void finish_gradient(Layer *l, int blocks, int images) {
    double count = (double)images * l->out_height * l->out_width;
    for (int c = 0; c < l->channels; c++) {
        float *k = l->coefficient + 3 * c;
        k[0] = 1; k[1] = k[2] = 0;
        if (!l->norm) continue;
        double sum = 0, product = 0, mean = l->mean[c], inverse = l->inverse_std[c];
        for (int b = 0; b < blocks; b++) { sum += l->sums[2 * ((long)b * l->channels + c)]; product += l->sums[2 * ((long)b * l->channels + c) + 1]; }
        double normalized = (product - mean * sum) * inverse; /* sum of gradient x normalized output */
        l->d_gamma[c] = normalized;
        l->d_beta[c] = sum;
        double scale = l->gamma[c] * inverse;
        k[0] = scale;
        k[1] = -scale * inverse * normalized / count;
        k[2] = -scale * sum / count - k[1] * mean;
    }
}

/* Back through pooling, dropout, normalization and ReLU in one pass. */
static void undo_activation(const Layer *l, const Layer *next, int block, int images) {
    int border = l->kernel - 1 - l->padding, row = l->out_width + 2 * border, ow = l->out_width, h = next->height, w = next->width;
    vec use = lanes_in_use(images, block);
    for (int c = 0; c < l->channels; c++) {
        long index = (long)block * l->channels + c;
        const vec *a = l->output + index * l->out_height * ow, *g = next->d_input + index * h * w;
        vec *d = l->d_conv + index * (l->out_height + 2 * border) * row + (long)border * row + border, s = l->scale[index], t = l->shift[index];
        vec A = dropout_factor(l, block, c, images) * l->coefficient[3 * c], B = use * l->coefficient[3 * c + 1], C = use * l->coefficient[3 * c + 2];
#define GRADIENT(o, v) where(l->relu ? (o) > 0 : (ivec){0} - 1, (v) * A + (o) * B + C)
        if (!l->pool) {
            for (int y = 0; y < l->out_height; y++)
                for (int x = 0; x < ow; x++) d[(long)y * row + x] = GRADIENT(a[y * ow + x], g[y * w + x]);
            continue;
        }
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                const vec *q = a + 2 * y * ow + 2 * x;
                vec v = g[y * w + x], *o = d + (long)2 * y * row + 2 * x;
                ivec m[4];
                pool_masks(q, ow, s, t, m);
                o[0] = GRADIENT(q[0], where(m[0], v));
                o[1] = GRADIENT(q[1], where(m[1], v));
                o[row] = GRADIENT(q[ow], where(m[2], v));
                o[row + 1] = GRADIENT(q[ow + 1], where(m[3], v));
            }
        for (int y = 0; y < l->out_height; y++) /* what an odd size leaves out of the pooling */
            for (int x = y < 2 * h ? 2 * w : 0; x < ow; x++) d[(long)y * row + x] = GRADIENT(a[y * ow + x], (vec){0});
#undef GRADIENT
    }
}

/* The mean over the pixels hands every pixel the same share. */
static void spread(const Layer *l, const float *d_logits, int block, int images) {
    int border = l->kernel - 1 - l->padding, row = l->out_width + 2 * border, pixels = l->out_height * l->out_width;
    for (int c = 0; c < l->channels; c++) {
        vec v = {0}, *d = l->d_conv + ((long)block * l->channels + c) * (l->out_height + 2 * border) * row + (long)border * row + border;
        for (int j = 0; j < LANES && block * LANES + j < images; j++) v[j] = d_logits[(long)(block * LANES + j) * l->channels + c] / pixels;
        for (int y = 0; y < l->out_height; y++)
            for (int x = 0; x < l->out_width; x++) d[(long)y * row + x] = v;
    }
}

/* d_logits: (n, channels of the last layer). Fills every d_weight, d_bias, d_gamma, d_beta; after a training forward pass of the same batch. */
void convnet_backward(Layer *layers, int count, const float *d_logits, int n, int threads) {
    int blocks = (n + LANES - 1) / LANES;
    for (int i = 1; i < count; i++) pack(&layers[i], 1, layers[i].packed_transposed);
    for (int i = count - 1; i >= 0; i--) {
        Layer *l = &layers[i];
        int border = l->kernel - 1 - l->padding, dh = l->out_height + 2 * border, dw = l->out_width + 2 * border;
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int b = 0; b < blocks; b++) {
            if (i == count - 1) spread(l, d_logits, b, n);
            else undo_activation(l, l + 1, b, n);
            weight_gradient(l, b);
            if (i > 0) {
                vec *d_input = l->d_input + (long)b * l->in_channels * l->height * l->width;
                convolve(l->d_conv + (long)b * l->channels * dh * dw, l->channels, dh, dw, l->kernel, l->packed_transposed, 0, d_input, l->in_channels,
                         l->height, l->width, 0);
                gradient_sums(l - 1, l, b, n);
            }
        }
        reduce_partials(l, blocks);
        if (i > 0) finish_gradient(l - 1, blocks, n);
    }
}
