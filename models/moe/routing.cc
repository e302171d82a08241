#include "models/moe/routing.h"

namespace weft {

void SendOrder::Build(std::span<const int32_t> counts, const Layout& layout, int32_t degree) {
  degree_ = degree;
  ep_ = static_cast<size_t>(layout.ep);
  experts_ = counts.size();
  counts_.assign(counts.begin(), counts.end());
  chunk_begin_.assign(static_cast<size_t>(degree) + 1, 0);
  rows_to_.assign(static_cast<size_t>(degree) * ep_, 0);
  block_begin_.assign(static_cast<size_t>(degree) * experts_, 0);
  int64_t position = 0;
  for (int32_t i = 0; i < degree; ++i) {
    const auto chunk = static_cast<size_t>(i);
    chunk_begin_[chunk] = position;
    for (size_t e = 0; e < experts_; ++e) {
      block_begin_[chunk * experts_ + e] = position;
      const int64_t rows = ChunkOf(counts[e], i, degree).count();
      rows_to_[chunk * ep_ + e * ep_ / experts_] += rows;
      position += rows;
    }
  }
  chunk_begin_.back() = position;
}

int64_t SendOrder::Position(int32_t expert, int64_t row) const {
  const int64_t n = counts_[static_cast<size_t>(expert)];
  // The chunk with i * n / r <= row < (i + 1) * n / r, from an estimate that is at most one off.
  auto chunk = static_cast<int32_t>((row + 1) * degree_ / n);
  while (chunk >= degree_ || ChunkOf(n, chunk, degree_).begin > row) --chunk;
  while (ChunkOf(n, chunk, degree_).end <= row) ++chunk;
  return block_begin_[static_cast<size_t>(chunk) * experts_ + static_cast<size_t>(expert)] + row -
         ChunkOf(n, chunk, degree_).begin;
}

void ArrivalOrder::Build(std::span<const int32_t> counts, const Layout& layout,
                         int32_t local_experts, int32_t esp_index, int32_t degree) {
  ep_ = static_cast<size_t>(layout.ep);
  esp_ = static_cast<size_t>(layout.esp);
  local_ = static_cast<size_t>(local_experts);
  const auto me = static_cast<size_t>(esp_index);
  const auto chunks = static_cast<size_t>(degree);
  const auto count_of = [&](size_t j, size_t s, size_t e) {
    return int64_t{counts[(j * ep_ + s) * local_ + e]};
  };

  // Sources in ascending global rank: rank = (edp * EP + s) * ESP + j.
  saved_begin_.assign(local_ + 1, 0);
  saved_of_run_.assign(local_ * ep_ * esp_, 0);
  int64_t saved = 0;
  for (size_t e = 0; e < local_; ++e) {
    saved_begin_[e] = saved;
    for (size_t s = 0; s < ep_; ++s) {
      for (size_t j = 0; j < esp_; ++j) {
        saved_of_run_[(e * ep_ + s) * esp_ + j] = saved;
        saved += count_of(j, s, e);
      }
    }
  }
  saved_begin_[local_] = saved;
  total_rows_ = saved;

  received_begin_.assign(chunks + 1, 0);
  arrival_begin_.assign(chunks + 1, 0);
  rows_from_.assign(chunks * ep_, 0);
  rows_gathered_.assign(chunks * esp_, 0);
  runs_.assign(chunks * local_ * ep_ * esp_, RowRun{});
  int64_t received = 0;
  int64_t arrival = 0;
  for (size_t i = 0; i < chunks; ++i) {
    received_begin_[i] = received;
    arrival_begin_[i] = arrival;
    for (size_t j = 0; j < esp_; ++j) {
      for (size_t s = 0; s < ep_; ++s) {
        for (size_t e = 0; e < local_; ++e) {
          const RowRange rows = ChunkOf(count_of(j, s, e), static_cast<int32_t>(i), degree);
          const size_t source = s * esp_ + j;
          runs_[(i * local_ + e) * ep_ * esp_ + source] = {
              arrival, saved_of_run_[e * ep_ * esp_ + source] + rows.begin, rows.count()};
          arrival += rows.count();
          rows_gathered_[i * esp_ + j] += rows.count();
          if (j == me) {
            rows_from_[i * ep_ + s] += rows.count();
            received += rows.count();
          }
        }
      }
    }
  }
  received_begin_[chunks] = received;
  arrival_begin_[chunks] = arrival;
  received_rows_ = received;
}

std::span<const RowRun> ArrivalOrder::runs(int32_t chunk, int32_t local_expert) const {
  const size_t sources = ep_ * esp_;
  return {runs_.data() +
              (static_cast<size_t>(chunk) * local_ + static_cast<size_t>(local_expert)) * sources,
          sources};
}

}  // namespace weft
