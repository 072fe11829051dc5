/* Convolutions on sixteen images at a time: the layer record, the register tiles, and the gradient of the weights. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(float))));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Register tiles: with 32 wide registers a tile of outputs is 7 channels x 4 pixels, with fewer it must be smaller. */
#ifdef __AVX512F__
enum { TILE_CHANNELS = 7, TILE_PIXELS = 4, TILE_GRADIENTS = 3 };
#else
enum { TILE_CHANNELS = 3, TILE_PIXELS = 2, TILE_GRADIENTS = 1 };
#endif

typedef struct {
    int32_t in_channels, channels, kernel, padding, height, width; /* height and width of the input */
    int32_t out_height, out_width, relu, norm, pool, reserved;
    float eps, momentum;
    const float *weight, *bias, *gamma, *beta;
    float *running_mean, *running_var;
    float *d_weight, *d_bias, *d_gamma, *d_beta;
    const float *mask; /* (images, channels) dropout factors, or NULL */
    vec *input;        /* zero-bordered input: blocks x in_channels x (height + 2 padding) x (width + 2 padding) */
    vec *output;       /* after convolution, bias, ReLU: blocks x channels x out_height x out_width */
    vec *d_input;      /* gradient of the input, after pooling of the layer before: blocks x in_channels x height x width */
    vec *d_conv;       /* gradient of the convolution's result, bordered by kernel - 1 - padding zeros */
    float *packed, *packed_transposed; /* weights in the order in which the tiles read them */
    double *sums;      /* blocks x channels x 2: partial sums over a block */
    vec *partial;      /* blocks x (weights + channels for the bias): partial gradients over a block, lanes apart */
    vec *scale, *shift;/* blocks x channels: normalization and dropout as one multiply-add */
    float *coefficient;/* channels x 3: gradient of the convolution's result from d_output and output */
    float *mean, *inverse_std; /* of the batch, for the backward pass */
} Layer;

/* --- convolution: one register tile of channels x pixels ---------------------------------------------------------- */

INLINE void tile(const int channels, const int pixels, const int kernel, const vec *in, long plane, long row, int in_channels,
                 const float *weight, vec (*sum)[TILE_PIXELS]) {
    for (int i = 0; i < in_channels; i++, in += plane)
        UNROLL for (int ky = 0; ky < kernel; ky++)
            UNROLL for (int kx = 0; kx < kernel; kx++, weight += channels) {
                vec v[TILE_PIXELS];
                UNROLL for (int p = 0; p < pixels; p++) v[p] = in[ky * row + kx + p];
                UNROLL for (int c = 0; c < channels; c++)
                    UNROLL for (int p = 0; p < pixels; p++) sum[c][p] += v[p] * weight[c];
            }
}

typedef struct { const vec *in; long plane, row; int in_channels; const float *weight; const float *bias; vec *out; long out_plane; int relu; } Tile;

INLINE void run_tile(const int channels, const int pixels, const int kernel, const Tile *t) {
    vec sum[TILE_CHANNELS][TILE_PIXELS];
    UNROLL for (int c = 0; c < channels; c++)
        UNROLL for (int p = 0; p < pixels; p++) sum[c][p] = (vec){0} + (t->bias ? t->bias[c] : 0.0f);
    tile(channels, pixels, kernel, t->in, t->plane, t->row, t->in_channels, t->weight, sum);
    UNROLL for (int c = 0; c < channels; c++)
        UNROLL for (int p = 0; p < pixels; p++)
            t->out[c * t->out_plane + p] = t->relu ? (vec)((ivec)sum[c][p] & ~(sum[c][p] <= 0)) : sum[c][p]; /* NaN stays NaN */
}

#define CASE_PIXELS(C, K) switch (pixels) { case 1: run_tile(C, 1, K, t); break; case 2: run_tile(C, 2, K, t); break; \
    case 3: run_tile(C, 3 < TILE_PIXELS ? 3 : TILE_PIXELS, K, t); break; default: run_tile(C, TILE_PIXELS, K, t); }
#define CASE_CHANNELS(K) switch (channels) { case 1: CASE_PIXELS(1, K) break; case 2: CASE_PIXELS(2, K) break; case 3: CASE_PIXELS(3, K) break; \
    case 4: CASE_PIXELS(4 < TILE_CHANNELS ? 4 : TILE_CHANNELS, K) break; case 5: CASE_PIXELS(5 < TILE_CHANNELS ? 5 : TILE_CHANNELS, K) break; \
    case 6: CASE_PIXELS(6 < TILE_CHANNELS ? 6 : TILE_CHANNELS, K) break; default: CASE_PIXELS(TILE_CHANNELS, K) }

static void any_tile(int channels, int pixels, int kernel, const Tile *t) {
    if (kernel == 3) { CASE_CHANNELS(3) } else { CASE_CHANNELS(1) }
}

/* Channels are split as evenly as the tile allows: 10 as 5 + 5, 12 as 6 + 6. */
INLINE int tile_size(int channels) {
    int tiles = (channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
    return (channels + tiles - 1) / tiles;
}

/* One block: in is bordered, out is not; weights are packed [channel tile][in channel][ky][kx][channel]. */
static void convolve(const vec *in, int in_channels, int in_height, int in_width, int kernel, const float *weight, const float *bias,
                     vec *out, int channels, int height, int width, int relu) {
    int size = tile_size(channels);
    for (int y = 0; y < height; y++)
        for (int c = 0; c < channels; c += size) {
            int count = channels - c < size ? channels - c : size;
            Tile t = {.plane = (long)in_height * in_width, .row = in_width, .in_channels = in_channels, .out_plane = (long)height * width, .relu = relu,
                      .weight = weight + (long)c * in_channels * kernel * kernel, .bias = bias ? bias + c : 0};
            for (int x = 0; x < width; x += TILE_PIXELS) {
                t.in = in + (long)y * in_width + x;
                t.out = out + ((long)c * height + y) * width + x;
                any_tile(count, width - x < TILE_PIXELS ? width - x : TILE_PIXELS, kernel, &t);
            }
        }
}

/* transposed = 0: for the forward pass; 1: in and out channels exchanged and the kernel turned round, for the gradient of the input. */
static void pack(const Layer *l, int transposed, float *packed) {
    int k = l->kernel, outs = transposed ? l->in_channels : l->channels, ins = transposed ? l->channels : l->in_channels, size = tile_size(outs);
    for (int c = 0; c < outs; c += size) {
        int count = outs - c < size ? outs - c : size;
        for (int i = 0; i < ins; i++)
            for (int t = 0; t < k * k; t++)
                for (int j = 0; j < count; j++)
                    *packed++ = transposed ? l->weight[((long)i * outs + c + j) * k * k + k * k - 1 - t] : l->weight[((long)(c + j) * ins + i) * k * k + t];
    }
}

/* --- gradient of the weights --------------------------------------------------------------------------------------- */

INLINE float lane_sum(vec v) {
    float s = 0;
    for (int i = 0; i < LANES; i++) s += v[i];
    return s;
}

/* One tile of channels against one input channel over some rows; sums are kept as vectors between strips. */
INLINE void weight_tile(const int count, const int kernel, const vec *in, int in_row, const vec *d, long d_plane, int d_row, int rows, int width, vec *sums, long stride) {
    vec sum[TILE_GRADIENTS][9];
    UNROLL for (int c = 0; c < count; c++)
        UNROLL for (int t = 0; t < kernel * kernel; t++) sum[c][t] = sums[c * stride + t];
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < width; x++) {
            const vec *i = in + (long)y * in_row + x, *g = d + (long)y * d_row + x;
            vec v[TILE_GRADIENTS];
            UNROLL for (int c = 0; c < count; c++) v[c] = g[c * d_plane];
            UNROLL for (int ky = 0; ky < kernel; ky++)
                UNROLL for (int kx = 0; kx < kernel; kx++)
                    UNROLL for (int c = 0; c < count; c++) sum[c][ky * kernel + kx] += v[c] * i[ky * in_row + kx];
        }
    UNROLL for (int c = 0; c < count; c++)
        UNROLL for (int t = 0; t < kernel * kernel; t++) sums[c * stride + t] = sum[c][t];
}

enum { STRIP_BYTES = 24 * 1024 }; /* gradient rows of a tile that stay in the first-level cache while the input channels pass by */

static void weight_gradient(const Layer *l, int block) {
    int k = l->kernel, border = k - 1 - l->padding, d_row = l->out_width + 2 * border, in_row = l->width + 2 * l->padding;
    long d_plane = (long)(l->out_height + 2 * border) * d_row, in_plane = (long)(l->height + 2 * l->padding) * in_row;
    long weights = (long)l->channels * l->in_channels * k * k, stride = (long)l->in_channels * k * k;
    const vec *d = l->d_conv + block * l->channels * d_plane + (long)border * d_row + border, *in = l->input + block * l->in_channels * in_plane;
    vec *sums = l->partial + block * (weights + l->channels);
    int strip = STRIP_BYTES / (TILE_GRADIENTS * d_row * (int)sizeof(vec));
    if (strip < 1) strip = 1;
    for (long i = 0; i < weights + l->channels; i++) sums[i] = (vec){0};
    for (int y = 0; y < l->out_height; y += strip) {
        int rows = l->out_height - y < strip ? l->out_height - y : strip;
        for (int c = 0; c < l->channels; c += TILE_GRADIENTS) {
            int count = l->channels - c < TILE_GRADIENTS ? l->channels - c : TILE_GRADIENTS;
            const vec *g = d + c * d_plane + (long)y * d_row;
            for (int i = 0; i < l->in_channels; i++) {
                const vec *x = in + i * in_plane + (long)y * in_row;
                vec *to = sums + c * stride + (long)i * k * k;
#define CALL(N, K) weight_tile(N < TILE_GRADIENTS ? N : TILE_GRADIENTS, K, x, in_row, g, d_plane, d_row, rows, l->out_width, to, stride)
                if (k == 3) { if (count == 1) CALL(1, 3); else if (count == 2) CALL(2, 3); else CALL(3, 3); }
                else { if (count == 1) CALL(1, 1); else if (count == 2) CALL(2, 1); else CALL(3, 1); }
#undef CALL
            }
        }
        for (int c = 0; l->d_bias && c < l->channels; c++)
            for (int r = y; r < y + rows; r++)
                for (int x = 0; x < l->out_width; x++) sums[weights + c] += d[c * d_plane + (long)r * d_row + x];
    }
}

static void reduce_partials(const Layer *l, int blocks) {
    long weights = (long)l->channels * l->in_channels * l->kernel * l->kernel, stride = weights + l->channels;
    for (long i = 0; i < (l->d_bias ? stride : weights); i++) {
        vec sum = l->partial[i];
        for (int b = 1; b < blocks; b++) sum += l->partial[b * stride + i];
        *(i < weights ? l->d_weight + i : l->d_bias + i - weights) = lane_sum(sum);
    }
}
