// Adam (Kingma & Ba, ICLR 2015) with weight decay as L2, as PyTorch's fused one computes it.

#pragma once

#include "panels.h"

extern "C" {

struct Adam {
    double rate, mean_decay, square_decay, epsilon, weight_decay;
};

// A parameter, its gradient, the moving means of that and of its square, and how many steps were taken.
struct Moved {
    float *parameter, *gradient, *mean, *square, *steps;
    int64_t size;
};

}  // extern "C"

namespace {

void move(const Adam& adam, const Moved& moved, int64_t first, int64_t last) {
    const double steps = *moved.steps;
    const float rate = static_cast<float>(adam.rate / (1.0 - std::pow(adam.mean_decay, steps)));
    const float root = static_cast<float>(std::sqrt(1.0 - std::pow(adam.square_decay, steps)));
    const float weight_decay = adam.weight_decay, epsilon = adam.epsilon, square_decay = adam.square_decay;
    const float mean_share = 1.0 - adam.mean_decay, square_share = 1.0 - adam.square_decay;
    float *__restrict parameter = moved.parameter, *__restrict mean = moved.mean, *__restrict square = moved.square;
    const float* __restrict gradients = moved.gradient;
    for (int64_t i = first; i < last; ++i) {
        const float gradient = gradients[i] + weight_decay * parameter[i];
        mean[i] += mean_share * (gradient - mean[i]);
        square[i] = square_decay * square[i] + square_share * gradient * gradient;
        parameter[i] -= rate * mean[i] / (std::sqrt(square[i]) / root + epsilon);
    }
}

}  // namespace
