#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

// Vaswani et al. 2017, eq. (1), with a causal mask: o_t = sum over u <= t of p_tu v_u,
// p_tu = softmax over u of (q_t . k_u / sqrt(head_dim)). Grouped queries: Ainslie et al. 2023.

namespace weft {
namespace {

// Where the heads of one token stand in its row of qkv.
struct RowLayout {
  int64_t heads, kv_heads, head_dim;

  int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
  int64_t query(int64_t head) const { return head * head_dim; }
  int64_t key(int64_t head) const { return (heads + head / (heads / kv_heads)) * head_dim; }
  int64_t value(int64_t head) const { return key(head) + kv_heads * head_dim; }
};

bool Within(RowRange rows, int64_t row) { return rows.begin <= row && row < rows.end; }

template <typename A, typename B>
double Dot(const A* a, const B* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace

void ReferenceKernels::AttentionForward(const AttentionForwardArgs& args) {
  const RowRange tokens = CheckAttentionForward(args);
  const RowLayout at{args.heads, args.kv_heads, args.head_dim};
  const int64_t length = args.length, dim = args.head_dim;
  const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
  std::vector<double> p(static_cast<size_t>(length)), sum_v(static_cast<size_t>(dim));
  for (int64_t sequence = 0; sequence < args.sequences; ++sequence) {
    const float* qkv = args.qkv.as<float>() + sequence * length * at.width();
    float* out = args.out.as<float>() + sequence * length * args.heads * dim;
    float* lse = args.lse.as<float>() + sequence * args.heads * length;
    for (int64_t head = 0; head < args.heads; ++head) {
      for (int64_t t = 0; t < length; ++t) {
        if (!Within(tokens, sequence * length + t)) continue;
        const float* q = qkv + t * at.width() + at.query(head);
        double largest = -INFINITY;
        for (int64_t u = 0; u <= t; ++u) {
          p[static_cast<size_t>(u)] = scale * Dot(q, qkv + u * at.width() + at.key(head), dim);
          largest = std::max(largest, p[static_cast<size_t>(u)]);
        }
        double denominator = 0;
        std::fill(sum_v.begin(), sum_v.end(), 0.0);
        for (int64_t u = 0; u <= t; ++u) {
          const double weight = std::exp(p[static_cast<size_t>(u)] - largest);
          const float* v = qkv + u * at.width() + at.value(head);
          denominator += weight;
          for (int64_t i = 0; i < dim; ++i) sum_v[static_cast<size_t>(i)] += weight * v[i];
        }
        float* o = out + (t * args.heads + head) * dim;
        for (int64_t i = 0; i < dim; ++i) {
          o[i] = static_cast<float>(sum_v[static_cast<size_t>(i)] / denominator);
        }
        lse[head * length + t] = static_cast<float>(largest + std::log(denominator));
      }
    }
  }
}

// With dp_tu = do_t . v_u and delta_t = do_t . o_t: ds_tu = p_tu (dp_tu - delta_t),
// dq_t = scale sum ds_tu k_u, dk_u = scale sum ds_tu q_t, dv_u = sum p_tu do_t.
void ReferenceKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  const RowRange tokens = CheckAttentionBackward(args);
  const RowLayout at{args.heads, args.kv_heads, args.head_dim};
  const int64_t length = args.length, dim = args.head_dim;
  const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
  for (int64_t sequence = 0; sequence < args.sequences; ++sequence) {
    const float* qkv = args.qkv.as<float>() + sequence * length * at.width();
    const float* out = args.out.as<float>() + sequence * length * args.heads * dim;
    const float* d_out = args.d_out.as<float>() + sequence * length * args.heads * dim;
    const float* lse = args.lse.as<float>() + sequence * args.heads * length;
    std::vector<double> d_qkv(static_cast<size_t>(length * at.width()));
    for (int64_t head = 0; head < args.heads; ++head) {
      for (int64_t t = 0; t < length; ++t) {
        if (!Within(tokens, sequence * length + t)) continue;
        const float* q = qkv + t * at.width() + at.query(head);
        const float* d_o = d_out + (t * args.heads + head) * dim;
        const double delta = Dot(d_o, out + (t * args.heads + head) * dim, dim);
        double* dq = d_qkv.data() + t * at.width() + at.query(head);
        for (int64_t u = 0; u <= t; ++u) {
          const float* k = qkv + u * at.width() + at.key(head);
          const float* v = qkv + u * at.width() + at.value(head);
          double* dk = d_qkv.data() + u * at.width() + at.key(head);
          double* dv = d_qkv.data() + u * at.width() + at.value(head);
          const double p = std::exp(scale * Dot(q, k, dim) - lse[head * length + t]);
          const double ds = p * (Dot(d_o, v, dim) - delta);
          for (int64_t i = 0; i < dim; ++i) {
            dq[i] += scale * ds * k[i];
            dk[i] += scale * ds * q[i];
            dv[i] += p * d_o[i];
          }
        }
      }
    }
    // Behind the piece every row is complete; in it queries are overwritten, and keys and values
    // join what later pieces of the sequence have added.
    float* result = args.d_qkv.as<float>() + sequence * length * at.width();
    const bool last = tokens.end >= (sequence + 1) * length;
    for (int64_t t = 0; t < length; ++t) {
      const int64_t token = sequence * length + t;
      if (tokens.begin >= (sequence + 1) * length || token >= tokens.end) continue;
      for (int64_t i = 0; i < at.width(); ++i) {
        const bool query = i < at.key(0);
        if (query && token < tokens.begin) continue;
        float& r = result[t * at.width() + i];
        const double before = query || last ? 0.0 : r;
        r = static_cast<float>(before + d_qkv[static_cast<size_t>(t * at.width() + i)]);
      }
    }
  }
}

}  // namespace weft
