/* Convolution, convolution's gradient by its input, and linear layers are one operation here:
 *
 *     out[channel][pixel] = bias[channel] + sum over terms of weight[channel][term] * in[offset[term] + position[pixel]]
 *
 * A term is an input channel with one tap of the kernel. Tables of offsets and positions, made once for a layer, stand for kernel
 * size, stride, padding, dilation, and for the order in which Flatten reads. A linear layer's pixels are the blocks of images.
 */
#pragma once
#include "vectors.h"

typedef struct {
    const int32_t *offsets;      /* terms */
    const int32_t *in_pixels, *out_pixels; /* pixels */
    const int32_t *out_channels; /* groups x channels: where a channel's pixels begin in the output */
    const int32_t *pack;         /* index into the weight of each packed value */
    const float *weight, *bias;
    float *packed;               /* group, channel tile, term, channel of the tile */
    View in, out;
    int64_t in_group;
    int32_t groups, channels, terms, pixels, chunk; /* channels and terms of one group; chunk: pixels that share a pass over the weights */
    int32_t activation, accumulate;
    float slope;
    int32_t weights; /* packed values */
    int32_t reserved;
} Contraction;

typedef void Tile(const Contraction *, const vec *in, vec *out, const int32_t *out_channels, const float *weight, const float *bias, int pixel);

INLINE void run_tile(const int channels, const int pixels, const Contraction *k, const vec *in, vec *out, const int32_t *out_channels,
                     const float *weight, const float *bias, int pixel) {
    vec sum[MOST_CHANNELS][MOST_PIXELS];
    const vec *at[MOST_PIXELS];
    UNROLL for (int p = 0; p < pixels; p++) at[p] = in + k->in_pixels[pixel + p];
    UNROLL for (int c = 0; c < channels; c++)
        UNROLL for (int p = 0; p < pixels; p++) sum[c][p] = (vec){0} + (bias ? bias[c] : 0.0f);
    const int32_t *offset = k->offsets, *end = offset + k->terms;
    for (; offset < end; offset++, weight += channels) {
        long o = *offset;
        vec v[MOST_PIXELS];
        UNROLL for (int p = 0; p < pixels; p++) v[p] = at[p][o];
        UNROLL for (int c = 0; c < channels; c++)
            UNROLL for (int p = 0; p < pixels; p++) sum[c][p] += v[p] * weight[c];
    }
    if (k->activation == RELU) {
        UNROLL for (int c = 0; c < channels; c++)
            UNROLL for (int p = 0; p < pixels; p++) sum[c][p] = activate(RELU, sum[c][p], sum[c][p]);
    } else if (k->activation != NONE) {
        vec slope = (vec){0} + k->slope;
        UNROLL for (int c = 0; c < channels; c++)
            UNROLL for (int p = 0; p < pixels; p++)
                sum[c][p] = k->activation == RELU6 ? activate(RELU6, sum[c][p], slope) : activate(LEAKY, sum[c][p], slope);
    }
    UNROLL for (int p = 0; p < pixels; p++) {
        vec *to = out + k->out_pixels[pixel + p];
        if (k->accumulate) { UNROLL for (int c = 0; c < channels; c++) to[out_channels[c]] += sum[c][p]; }
        else { UNROLL for (int c = 0; c < channels; c++) to[out_channels[c]] = sum[c][p]; }
    }
}

#define TILE(C, P) \
    static void tile_##C##_##P(const Contraction *k, const vec *in, vec *out, const int32_t *o, const float *w, const float *b, int q) { \
        run_tile(C, P <= PIXELS_##C ? P : 1, k, in, out, o, w, b, q); \
    }
#define TILES(C) TILE(C, 1) TILE(C, 2) TILE(C, 3) TILE(C, 4) TILE(C, 5) TILE(C, 6) TILE(C, 7) TILE(C, 8)
#define NAMES(C) {tile_##C##_1, tile_##C##_2, tile_##C##_3, tile_##C##_4, tile_##C##_5, tile_##C##_6, tile_##C##_7, tile_##C##_8}
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6) TILES(7)

static Tile *const tiles[MOST_CHANNELS][MOST_PIXELS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6), NAMES(7)};
static const int tile_pixels[MOST_CHANNELS] = {PIXELS_1, PIXELS_2, PIXELS_3, PIXELS_4, PIXELS_5, PIXELS_6, PIXELS_7};

/* Channels are split as evenly as the tile allows: 10 as 5 + 5, 12 as 6 + 6. */
INLINE int tile_size(int channels) {
    int count = (channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
    return (channels + count - 1) / count;
}

static void pack_weights(const Contraction *k) {
    for (int i = 0; i < k->weights; i++) k->packed[i] = k->weight[k->pack[i]];
}

/* Channels first to end of one group at some pixels. */
INLINE void contract(const Contraction *k, const vec *in, vec *out, int group, int first, int end, int pixel, int last_pixel) {
    int size = tile_size(k->channels);
    for (int c = first; c < end; c += size) {
        int count = end - c < size ? end - c : size, most = tile_pixels[count - 1], channel = group * k->channels + c;
        const float *weight = k->packed + (long)channel * k->terms, *bias = k->bias ? k->bias + channel : 0;
        const int32_t *to = k->out_channels + channel;
        for (int q = pixel; q < last_pixel; q += most) {
            int pixels = last_pixel - q < most ? last_pixel - q : most;
            tiles[count - 1][pixels - 1](k, in, out, to, weight, bias, q);
        }
    }
}

/* One block of images of a convolution. */
static void run_convolution(const Contraction *k, Place at) {
    const vec *in = plane_of(&k->in, at, 0);
    vec *out = plane_of(&k->out, at, 0);
    for (int g = 0; g < k->groups; g++)
        for (int q = 0; q < k->pixels; q += k->chunk)
            contract(k, in + g * k->in_group, out, g, 0, k->channels, q, q + k->chunk < k->pixels ? q + k->chunk : k->pixels);
}

/* One tile of channels of a linear layer, for all blocks. */
static void run_linear(const Contraction *k, int part, int blocks) {
    int size = tile_size(k->channels), first = part * size, end = first + size < k->channels ? first + size : k->channels;
    contract(k, k->in.at, k->out.at, 0, first, end, 0, blocks);
}

/* --- gradient of the weights: the products of the output's gradient with the input, summed over pixels, images and blocks ------ */

typedef struct {
    const int32_t *offsets; /* terms */
    View in, d;
    int64_t in_group;
    int32_t groups, channels, terms, rows, width; /* channels and terms of one group; rows and width of the output */
    int32_t in_row, in_step, accumulate; /* accumulate: bit 0 for the weight, bit 1 for the bias */
    float *partial;          /* blocks x (weights + biases): gradients over a block; not for linear layers */
    float *d_weight, *d_bias; /* either may be NULL */
} WeightGradient;

/* in_step and d_step: vectors from one pixel to the next. */
INLINE void gradient_tile(const int channels, const int terms, const WeightGradient *k, const vec *in, const vec *d, const int32_t *offsets,
                          int rows, int width, long in_row, long in_step, long d_row, long d_step, int begin, vec *sums) {
    vec sum[3][MOST_TERMS];
    const vec *at[MOST_TERMS];
    UNROLL for (int t = 0; t < terms; t++) at[t] = in + offsets[t];
    UNROLL for (int c = 0; c < channels; c++)
        UNROLL for (int t = 0; t < terms; t++) sum[c][t] = begin ? (vec){0} : sums[c * k->terms + t];
    for (int y = 0; y < rows; y++, d += d_row) {
        const vec *g = d;
        long i = y * in_row;
        for (int x = 0; x < width; x++, g += d_step, i += in_step) {
            vec v[3];
            UNROLL for (int c = 0; c < channels; c++) v[c] = g[c * k->d.plane];
            UNROLL for (int t = 0; t < terms; t++) {
                vec a = at[t][i];
                UNROLL for (int c = 0; c < channels; c++) sum[c][t] += v[c] * a;
            }
        }
    }
    UNROLL for (int c = 0; c < channels; c++)
        UNROLL for (int t = 0; t < terms; t++) sums[c * k->terms + t] = sum[c][t];
}

typedef void GradientTile(const WeightGradient *, const vec *in, const vec *d, const int32_t *offsets, int rows, int width, long in_row,
                          long in_step, long d_row, long d_step, int begin, vec *sums);
#define GRADIENT(C, T) \
    static void gradient_##C##_##T(const WeightGradient *k, const vec *in, const vec *d, const int32_t *o, int rows, int width, long in_row, \
                                   long in_step, long d_row, long d_step, int begin, vec *sums) { \
        gradient_tile(C, T <= TERMS_##C ? T : 1, k, in, d, o, rows, width, in_row, in_step, d_row, d_step, begin, sums); \
    }
#define GRADIENTS(C) GRADIENT(C, 1) GRADIENT(C, 2) GRADIENT(C, 3) GRADIENT(C, 4) GRADIENT(C, 5) GRADIENT(C, 6) GRADIENT(C, 7) GRADIENT(C, 8) GRADIENT(C, 9)
#define GRADIENT_NAMES(C) {gradient_##C##_1, gradient_##C##_2, gradient_##C##_3, gradient_##C##_4, gradient_##C##_5, gradient_##C##_6, \
    gradient_##C##_7, gradient_##C##_8, gradient_##C##_9}
GRADIENTS(1) GRADIENTS(2) GRADIENTS(3)

static GradientTile *const gradient_tiles[3][MOST_TERMS] = {GRADIENT_NAMES(1), GRADIENT_NAMES(2), GRADIENT_NAMES(3)};
static const int gradient_terms[3] = {TERMS_1, TERMS_2, TERMS_3};

enum { STRIP_BYTES = 24 * 1024 }; /* gradient rows of a tile that stay in the first-level cache while the terms pass by */

/* The weights of channels first to end of a group over some rows. */
INLINE void weight_rows(const WeightGradient *k, const vec *in, const vec *d, int first, int end, int rows, int width, long in_row,
                        long in_step, long d_row, long d_step, int begin, vec *sums) {
    for (int c = first; c < end; c += GRADIENT_CHANNELS) {
        int channels = end - c < GRADIENT_CHANNELS ? end - c : GRADIENT_CHANNELS, most = gradient_terms[channels - 1];
        for (int t = 0; t < k->terms; t += most) {
            int terms = k->terms - t < most ? k->terms - t : most;
            gradient_tiles[channels - 1][terms - 1](k, in, d + c * k->d.plane, k->offsets + t, rows, width, in_row, in_step, d_row, d_step,
                                                    begin, sums + (long)(c - first) * k->terms + t);
        }
    }
}

/* One block of images into its partial gradient; sums: channels x terms vectors of scratch. */
static void block_weight_gradient(const WeightGradient *k, Place at, vec *sums) {
    long weights = (long)k->groups * k->channels * k->terms, biases = k->d_bias ? k->groups * k->channels : 0;
    float *partial = k->partial + at.block * (weights + biases);
    int strip = STRIP_BYTES / (GRADIENT_CHANNELS * k->d.row * (int)sizeof(vec));
    if (strip < 1) strip = 1;
    for (int g = 0; g < k->groups; g++) {
        const vec *in = plane_of(&k->in, at, 0) + g * k->in_group, *d = plane_of(&k->d, at, g * k->channels);
        for (int y = 0; k->d_weight && y < k->rows; y += strip)
            weight_rows(k, in + (long)y * k->in_row, d + (long)y * k->d.row, 0, k->channels, k->rows - y < strip ? k->rows - y : strip, k->width,
                        k->in_row, k->in_step, k->d.row, 1, y == 0, sums);
        for (long i = 0; k->d_weight && i < (long)k->channels * k->terms; i++) *partial++ = quick_sum(sums + i);
    }
    partial = k->partial + at.block * (weights + biases) + weights;
    for (int c = 0; c < biases; c++) {
        const vec *d = plane_of(&k->d, at, c);
        vec sum = {0};
        for (int y = 0; y < k->rows; y++)
            for (int x = 0; x < k->width; x++) sum += d[y * k->d.row + x];
        *partial++ = quick_sum(&sum);
    }
}

/* A few channels of a linear layer, over all blocks at once; sums: GRADIENT_CHANNELS x terms vectors of scratch. */
static void linear_weight_gradient(const WeightGradient *k, int part, int blocks, vec *sums) {
    int first = part * GRADIENT_CHANNELS, end = first + GRADIENT_CHANNELS < k->channels ? first + GRADIENT_CHANNELS : k->channels;
    const vec *d = k->d.at;
    if (k->d_weight) {
        weight_rows(k, k->in.at, d, first, end, 1, blocks, 0, k->in.block, 0, k->d.block, 1, sums);
        float *to = k->d_weight + (long)first * k->terms;
        for (long i = 0; i < (long)(end - first) * k->terms; i++) to[i] = quick_sum(sums + i) + (k->accumulate & 1 ? to[i] : 0);
    }
    for (int c = first; k->d_bias && c < end; c++) {
        vec sum = {0};
        for (int b = 0; b < blocks; b++) sum += d[b * k->d.block + c * k->d.plane];
        k->d_bias[c] = quick_sum(&sum) + (k->accumulate & 2 ? k->d_bias[c] : 0);
    }
}

/* Partial gradients are added in the order of the blocks, so that results do not depend on the number of threads. */
static void reduce_weight_gradient(const WeightGradient *k, int blocks) {
    long weights = (long)k->groups * k->channels * k->terms, biases = k->d_bias ? k->groups * k->channels : 0;
    for (long i = k->d_weight ? 0 : weights; i < weights + biases; i++) {
        float *to = i < weights ? k->d_weight + i : k->d_bias + i - weights;
        float sum = k->accumulate & (i < weights ? 1 : 2) ? *to : 0;
        for (int b = 0; b < blocks; b++) sum += k->partial[b * (weights + biases) + i];
        *to = sum;
    }
}
