/* Loss and optimizer, for which a call of torch costs more than the arithmetic on a few thousand numbers. */
#pragma once
#include <math.h>
#include <stdint.h>

/* The mean cross-entropy of logits (n, classes), its gradient by them (softmax less one at the label, over n), and the number of images
 * whose largest logit is the label's, or -1 where a label is no class. A logit that is NaN makes the loss NaN. */
float cross_entropy(const float *logits, const int64_t *labels, int n, int classes, float *gradient, int64_t *correct) {
    double loss = 0;
    *correct = 0;
    for (int i = 0; i < n; i++, logits += classes, gradient += classes) {
        if (labels[i] < 0 || labels[i] >= classes) {
            *correct = -1;
            return NAN;
        }
        float top = logits[0], sum = 0;
        int largest = 0;
        for (int c = 1; c < classes; c++)
            if (logits[c] > top) { top = logits[c]; largest = c; }
        for (int c = 0; c < classes; c++) sum += gradient[c] = expf(logits[c] - top);
        for (int c = 0; c < classes; c++) gradient[c] *= 1 / (sum * n);
        gradient[labels[i]] -= 1.0f / n;
        loss += logf(sum) - (logits[labels[i]] - top);
        *correct += largest == labels[i];
    }
    return loss / n;
}

/* One step of torch.optim.SGD; buffer is the momentum, or NULL without; first: it has no value yet. */
void sgd(float *parameters, const float *gradient, float *buffer, int64_t n, float lr, float momentum, float weight_decay, int nesterov,
         int first) {
    for (int64_t i = 0; i < n; i++) {
        float change = gradient[i] + weight_decay * parameters[i];
        if (buffer) {
            buffer[i] = first ? change : momentum * buffer[i] + change;
            change = nesterov ? change + momentum * buffer[i] : buffer[i];
        }
        parameters[i] -= lr * change;
    }
}
