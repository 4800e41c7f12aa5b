// exp, tanh and GELU of sixteen floats.
#pragma once

namespace rerank {
namespace {

// A polynomial of degree 5 with the coefficients that keep the largest relative error on +-ln(2)/2 at 7e-8
// (a linear programme over that interval).
constexpr float kExp[] = {1.000000065f, 0.9999996393f, 0.4999893182f,
                          0.166667783f, 0.04191322802f, 0.008284788126f};

// x within +-most, and NaN where it is NaN: of two, smaller and larger give the second then.
inline Floats bounded_by(float most, Floats x) {
  return larger(all(-most), smaller(all(most), x));
}

// For x within +-80, where the result is a normal number; beyond, that of the nearer end.
inline Floats exponential(Floats x) {
  const Floats bounded = bounded_by(80.0f, x);
  const Floats n = nearest(times(bounded, all(1.44269504f)));
  // ln 2 in two parts, so that what is left of x after n of them keeps its last bits.
  const Floats rest =
      times_add(n, all(-1.428606765e-6f), times_add(n, all(-0.693145751953125f), bounded));
  Floats p = all(kExp[5]);
  for (int i = 4; i >= 0; --i) p = times_add(p, rest, all(kExp[i]));
  return times_power_of_two(p, n);
}

// 1 - 2 / (exp(2 x) + 1). Ours, because tanhf differs between C libraries.
inline Floats hyperbolic_tangent(Floats x) {
  const Floats one = all(1.0f);
  const Floats bounded = bounded_by(20.0f, x);
  const Floats squared = exponential(add(bounded, bounded));
  return subtract(one, divide(all(2.0f), add(squared, one)));
}

// Phi(x) - 1/2 is odd: x times a polynomial of x^2 up to x^15, fitted on +-4.16 so that the
// largest error of x Phi(x) is smallest (7e-5) and that Phi is 1 at the end. Where a row reaches 3,
// the step of int8 that follows is 330 times as large. Degree 17 has a third of the error and costs
// one multiply-add more.
constexpr float kGeluEnd = 4.16f;
constexpr float kGelu[] = {0.3984924555f,    -0.06557217985f,  0.00932237599f,
                           -0.0009568525711f, 6.773088535e-5f, -3.09995994e-6f,
                           8.17679151e-8f,   -9.377104648e-10f};

inline Floats gelu(Floats x) {
  const Floats bounded = bounded_by(kGeluEnd, x);
  const Floats square = times(bounded, bounded);
  Floats p = all(kGelu[7]);
  for (int i = 6; i >= 0; --i) p = times_add(p, square, all(kGelu[i]));
  return times(x, times_add(p, bounded, all(0.5f)));
}

inline void tanh_in_place(float* x, int count) {
  for (int i = 0; i < count; i += 16) store(x + i, hyperbolic_tangent(load(x + i)));
}

inline void gelu_in_place(float* x, int count) {
  for (int i = 0; i < count; i += 16) store(x + i, gelu(load(x + i)));
}

}  // namespace
}  // namespace rerank
